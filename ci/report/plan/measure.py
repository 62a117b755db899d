"""Write the steps that measure: copy the dataset, write the tool's files, run it. Pure."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.known_metrics import MAIN
from ci.case.variables import RUN_FOLDER
from ci.connect.printed import one_line
from ci.inventory.target import Target
from ci.judge.asked import asked_of
from ci.paths import PROJECT
from ci.plan.evaluations import job_of
from ci.plan.tokenizers import tokenizers_of, with_tokenizers
from ci.report.plan import paste
from ci.tools.made import ENV, MAKER, make_command, recipe_for
from ci.tools.model import items_asked
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.judge.asked import Asked
    from ci.plan.model import Evaluation, Plan
    from ci.tools.model import Command
    from ci.vllm.model_source import ModelSource

# Longer files that an earlier step has written are copied.
_SHORT_LINES = 5
_FILE = re.compile(r"\.[A-Za-z]+")


def measurements(
    plan: Plan, targets: Sequence[Target]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """List the steps of all evaluations: the host, then title and commands.

    Args:
        plan: the plan.
        targets: how to connect to the hosts.
    """
    written: dict[str, str] = {}
    sources = {key: entry for key, entry in tokenizers_of(plan).items() if not entry[0].is_folder}
    plan = with_tokenizers(plan, dict.fromkeys(sources, f"${paste.TOKENIZER}"))
    by_name = {name: source for source, names in sources.values() for name in names}
    for item in plan.evaluations:
        known = {target.name: target for target in targets}
        target = known.get(item.host, Target(item.host, item.host))
        source, folder = by_name.get(item.benchmark.name), _folder(plan, item)
        copies = tuple(_copies(item, folder, target, source))
        if copies and not target.is_local:
            title = f"On this machine, copy what {item.benchmark.name} needs to {item.host}:"
            yield (item.host,), (title, *copies)
        yield (
            (item.host,),
            (
                f"{_title(item)}:",
                *(copies if target.is_local else ()),
                *([_locate(source, folder, target.python)] if source else ()),
                *_commands(plan, item, written),
            ),
        )


def inputs_of(workspace: str, name: str) -> str:
    """Return the folder of a process's inputs."""
    return RUN_FOLDER.format(workspace=workspace, process=name)


def command_in(plan: Plan, item: Evaluation) -> Command | None:
    """Return the command of an evaluation; None if it depends on a dataset that is not here."""
    if not item.argv:
        return None
    return TOOLS[item.benchmark.tool].command(job_of(item, _folder(plan, item)))


def env_of(plan: Plan, item: Evaluation, command: Command) -> dict[str, str]:
    """Return a tool's environment; a night also keeps what the host's own no_proxy has."""
    direct = ",".join(dict.fromkeys((item.endpoint.host, *plan.addresses)))
    return {**command.env, **plan.access_of(item).env, "no_proxy": direct, "NO_PROXY": direct}


def _folder(plan: Plan, item: Evaluation) -> str:
    return inputs_of(plan.host(item.host).workspace, item.process)


def _copies(
    item: Evaluation, folder: str, target: Target, tokenizer: ModelSource | None
) -> Iterator[str]:
    """List the commands that copy from this machine.

    Args:
        item: the evaluation; its dataset is copied, and the program that makes its prompts.
        folder: the inputs of its process on its host.
        target: its host.
        tokenizer: the name of its tokenizer on a hub, for which the host's caches are searched.
    """
    if tokenizer:
        yield _copy(PROJECT / "ci/remote/facts/hub_cache.py", folder, target)
    dataset = item.dataset
    if not item.argv or dataset.path is None or dataset.place in {"host", "none"}:
        return
    yield _copy(Path(dataset.path), f"{folder}/data", target)
    if dataset.place == "made":
        yield _copy(PROJECT / "ci/prepare/recipes" / MAKER, folder, target)


def _copy(source: Path, folder: str, target: Target) -> str:
    is_file = _FILE.fullmatch(source.suffix)
    place, name = (source.parent, source.name) if is_file else (source, ".")
    there = paste.quoted(folder)
    read = f"tar -C {paste.quoted(str(place))} -ch {paste.quoted(name)}"
    write = f"tar -C {there} -x --no-same-owner"
    if target.is_local:
        return f"mkdir -p {there} && {read} | {write}"
    return f"{read} | {_ssh(target)} {shlex.quote(f'mkdir -p {there} && {write}')}"


def _locate(source: ModelSource, folder: str, python: str) -> str:
    """Write the command that finds a tokenizer in the host's caches, as a night does."""
    asked = (source.name, source.revision, dict(source.env), source.download_dir, source.cwd)
    arguments = ", ".join(map(json.dumps, asked))  # texts are written as in Python
    name = json.dumps(source.name)
    program = f"from hub_cache import locate; print(locate({arguments}).folder or {name})"
    search = f"cd {paste.quoted(folder)} && {paste.quoted(python)} -c {shlex.quote(program)}"
    return f'{paste.TOKENIZER}="$({search})"'


def _ssh(target: Target) -> str:
    """Write the command of OpenSSH's client for a host."""
    known = f"UserKnownHostsFile={target.known_hosts}" if target.known_hosts else None
    options = {"-i": target.identity, "-o": known, "-J": target.jump, "-p": target.port}
    words = [word for option, value in options.items() if value for word in (option, str(value))]
    address = f"{target.user}@{target.address}" if target.user else target.address
    return " ".join(map(paste.quoted, ["ssh", *words, address]))


def _commands(plan: Plan, item: Evaluation, written: dict[str, str]) -> Iterator[str]:
    """List the commands of an evaluation; only a comment if the tool needs the dataset first.

    Args:
        plan: the plan.
        item: the evaluation.
        written: files that earlier steps have written, content → path; receives those of this one.
    """
    command = command_in(plan, item)
    if command is None:
        yield one_line(f"# Its command is known once the dataset {item.dataset.name} is here.")
        return
    work = f"{_folder(plan, item)}/work"
    if item.passes.number > 1:
        yield f"# Pass 1 of {item.passes.number}; the others have folders and salts of their own."
    yield from _dataset_commands(plan, item)
    yield from paste.files(work, command.files or {".keep": ""}, written)
    for path, content in command.files.items():
        if content.count("\n") > _SHORT_LINES:
            written.setdefault(content, f"{work}/{path}")
    yield from paste.command(env_of(plan, item, command), command.argv, item.env_script)


def _dataset_commands(plan: Plan, item: Evaluation) -> Iterator[str]:
    """Say where the dataset is if it is not copied, and list the command that makes it."""
    if item.dataset.place == "host":
        yield one_line(f"# The dataset is {item.dataset.path} on {item.host}.")
    elif item.dataset.path is None and item.dataset.place != "none":
        yield one_line(
            f"# Missing: the dataset {item.dataset.name} is not on this machine, so no night "
            "begins; `inv datasets.list --config CASE` says what to do."
        )
    folder = _folder(plan, item)
    job = job_of(item, folder)
    argv = make_command(job, folder, plan.host(item.host).workspace)
    if argv:
        recipe = recipe_for(item.benchmark, job.expected_items)
        yield one_line(f"# Its prompts are {recipe.text if recipe else 'made'}:")
        yield from paste.command(ENV, argv, item.env_script)


def _title(item: Evaluation) -> str:
    benchmark = item.benchmark
    number = items_asked(benchmark, item.dataset)
    asked = f"{number or 'all'} items of {item.dataset.name}"
    if number < (benchmark.num_prompts or 0):
        asked += f", which has no more ({benchmark.num_prompts} are asked for)"
    asked_for = "; ".join(map(bound_in_words, asked_of(benchmark)))
    judged = f"without the router, at {item.server}" if item.server else asked_for
    named = item.passes.number > 1 or item.passes.auto
    passes = f", {item.passes}" if named else ""
    return f"On {item.host}, {benchmark.name} with {benchmark.tool}: {asked}, {judged}{passes}"


def bound_in_words(asked: Asked) -> str:
    """Write a figure that is judged, and what it has to be."""
    figure = asked.metric.replace("_", " ") if asked.metric in MAIN.values() else asked.metric
    if asked.expected is None:
        return f"{figure}, no baseline yet"
    baseline, threshold = asked.expected
    if asked.metric == MAIN["accuracy"]:
        return f"{figure} ≥ {baseline:g} - {threshold:g} pp"
    if asked.lower_is_better:
        return f"{figure} ≤ {asked.bound:.4g} {asked.unit}"
    return f"{figure} ≥ {threshold:g} x {baseline:g} {asked.unit}"
