"""Write the output of `inv plan`: a picture and every command, or JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.case.variables import RUN_FOLDER
from ci.connect.printed import one_line
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.plan.evaluations import job_of
from ci.record.known_secrets import hide_known, secrets_within
from ci.record.redact import plain, redacted
from ci.record.secrets import (
    hide_in_argv,
    hide_in_env,
    hide_in_files,
)
from ci.report.plan import paste
from ci.report.plan.picture import picture
from ci.tools.made import ENV, make_command, recipe_for
from ci.tools.model import items_asked
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.benchmark import Benchmark
    from ci.plan.model import Evaluation, Plan, PlannedProcess, Preparation
    from ci.tools.model import Command

# The current folder of a process; RUN_FOLDER has its input files.
OWN_FOLDER = "{workspace}/.lamplighter/<host>/<run>/{process}"


def as_values(plan: Plan, host: str = "") -> dict[str, Any]:
    """Return the plan as values for JSON; secrets are redacted.

    Args:
        plan: the plan.
        host: name or index of a host, to write only its part; empty for all hosts.

    Raises:
        UserError: there is no such host.
    """
    chosen = _chosen(plan, host)
    router = plan.router if plan.router and _on(plan.router.host, chosen) else None
    values = {
        "case": plan.case.name,
        "hosts": [asdict(each) for each in plan.hosts if _on(each.name, chosen)],
        "leader": plan.leader,
        "preparations": [
            {"name": item.name, "host": item.host, "kind": item.kind, "path": item.path}
            for item in plan.preparations
            if _on(item.host, chosen)
        ],
        "services": [_process(each) for each in plan.services if _on(each.host, chosen)],
        "processes": [_process(each) for each in plan.servers if _on(each.host, chosen)],
        "router": _process(router) if router else None,
        "endpoint": {**asdict(plan.endpoint), "url": plan.endpoint.url},
        "ranks": plan.ranks,
        "benchmarks": [
            _evaluation(plan, item) for item in plan.evaluations if _on(item.host, chosen)
        ],
    }
    return redacted(plain(values), secrets_within(plain(plan)))  # type: ignore[no-any-return]


def as_text(plan: Plan, host: str = "") -> str:
    """Write the plan as text: a picture, then every command in order, ready to paste.

    Args:
        plan: the plan.
        host: name or index of a host, to write only its part; empty for all hosts.

    Raises:
        UserError: there is no such host.
    """
    text = "\n".join(_lines(plan, _chosen(plan, host))) + "\n"
    # A secret may stand under a harmless name too: `--api-key $MINE`.
    return hide_known(text, secrets_within(plain(plan)))


def _chosen(plan: Plan, text: str) -> str:
    """Return the name of the host that `--host` selects by name or index."""
    names = [host.name for host in plan.hosts]
    if not text or text in names:
        return text
    if text.isdecimal() and int(text) < len(names):
        return names[int(text)]
    near = nearest(text, names)
    guess = f"did you mean {near!r}? " if near else ""
    hosts = ", ".join(f"{at} {name}" for at, name in enumerate(names))
    raise UserError(f"--host {text}: the plan has no such host; {guess}There are: {hosts}")


def _on(host: str, chosen: str) -> bool:
    return chosen in {"", host}


def _lines(plan: Plan, chosen: str) -> Iterator[str]:
    yield one_line(f"Case {plan.case.name}: {plan.case.test_name}")
    yield f"  model      {one_line(f'{plan.case.model}, served as {plan.endpoint.model}')}"
    yield f"  endpoint   {plan.endpoint.url}{_ranks(plan)}"
    yield from picture(plan, chosen)
    yield ""
    share = f" that are {chosen}'s" if chosen else ""
    yield f"The steps{share}, each in a shell of its own; <run> is the run's id, <host> "
    yield "the host's folder."
    for number, (hosts, text) in enumerate(_steps(plan), 1):
        if not chosen or chosen in hosts:
            yield ""
            title, *commands = text
            # A comment ends with its line: what followed would be a command.
            yield f"# {number}. {one_line(title)}"
            yield from commands


def _steps(plan: Plan) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """List every step in order: its hosts, then its title and commands."""
    for items in plan.preparations_by_name:
        yield tuple(item.host for item in items), (_preparation(items),)
    for process in plan.processes:
        yield (process.host,), (_start(process), *_start_commands(plan, process))
    yield (plan.leader,), (f"Await readiness: {_readiness(plan)}",)
    if not plan.evaluations:
        smoke = "Smoke only: one chat and one completion (the case has no benchmarks)"
        yield (plan.leader,), (smoke,)
    for item in plan.evaluations:
        yield (item.host,), (f"{_evaluation_title(item)}:", *_evaluation_commands(plan, item))


def _preparation(items: tuple[Preparation, ...]) -> str:
    where = ", ".join(item.host for item in items)
    paths = " or ".join(dict.fromkeys(item.path for item in items))
    packages = items[0].spec.get("packages")
    of = f" ({', '.join(map(str, packages))})" if isinstance(packages, list) else ""
    return f"On {where}, make sure of the {items[0].kind} {items[0].name}{of}: {paths}"


def _start(process: PlannedProcess) -> str:
    kind = "headless" if process.headless else process.health_url
    what = process.role if process.role == "service" else f"{process.role}, {kind}"
    ports = ", ".join(map(str, process.ports))
    listens = f"; listens on {ports}" if ports else ""
    return f"On {process.host}, start {process.name} ({what}{listens}):"


def _start_commands(plan: Plan, process: PlannedProcess) -> Iterator[str]:
    """List the commands that start a process in its folder."""
    workspace = plan.host(process.host).workspace
    yield from paste.files(_inputs(workspace, process.name), process.files)
    own = paste.quoted(OWN_FOLDER.format(workspace=workspace, process=process.name))
    yield f"cd {paste.quoted(process.cwd)}" if process.cwd else f"mkdir -p {own} && cd {own}"
    yield from paste.command(process.env, process.argv, process.env_script)


def _ranks(plan: Plan) -> str:
    return f", in front of {plan.ranks} data-parallel ranks" if (plan.ranks or 1) > 1 else ""


def _readiness(plan: Plan) -> str:
    several = "every server " if len(plan.servers) > 1 else ""
    ranks = f", all {plan.ranks} ranks in its metrics" if (plan.ranks or 1) > 1 else ""
    through = " through the router" if plan.router else ""
    return f"{several}alive, health 200{ranks}, and a completion with a token in it{through}"


def _evaluation_commands(plan: Plan, item: Evaluation) -> Iterator[str]:
    """List the commands of an evaluation; only a comment if the tool needs the dataset first."""
    command = _command(plan, item)
    if command:
        folder = _inputs(plan.host(item.host).workspace, item.process)
        yield from _dataset_commands(plan, item, folder)
        yield from paste.files(f"{folder}/work", command.files or {".keep": ""})
        yield from paste.command(_env(plan, command), command.argv, item.env_script)
    else:
        yield one_line(f"# Its command is known once the dataset {item.dataset.name} is here.")


def _dataset_commands(plan: Plan, item: Evaluation, folder: str) -> Iterator[str]:
    """Say where the dataset is, and list the command that makes it."""
    if item.dataset.place == "host":
        yield one_line(f"# The dataset is {item.dataset.path} on {item.host}.")
    elif item.dataset.path is None and item.dataset.place != "none":
        yield one_line(
            f"# Missing: the dataset {item.dataset.name} is not on this machine, so no night "
            "begins; `inv datasets.list --config CASE` says what to do."
        )
    elif item.dataset.place != "none":
        yield one_line(f"# The dataset's files are in {folder}/data.")
    job = job_of(item, plan.endpoint, folder)
    argv = make_command(job, folder, plan.host(item.host).workspace)
    if argv:
        recipe = recipe_for(item.benchmark, job.expected_items)
        yield one_line(f"# Its prompts are {recipe.text if recipe else 'made'}:")
        yield from paste.command(ENV, argv, item.env_script)


def _command(plan: Plan, item: Evaluation) -> Command | None:
    if not item.argv:
        return None
    folder = _inputs(plan.host(item.host).workspace, item.process)
    return TOOLS[item.benchmark.tool].command(job_of(item, plan.endpoint, folder))


def _env(plan: Plan, command: Command) -> dict[str, str]:
    """Return a tool's environment; a night also keeps what the host's own no_proxy has."""
    direct = ",".join(dict.fromkeys((plan.endpoint.host, *plan.addresses)))
    return {**command.env, **plan.access.env, "no_proxy": direct, "NO_PROXY": direct}


def _inputs(workspace: str, name: str) -> str:
    return RUN_FOLDER.format(workspace=workspace, process=name)


def _evaluation_title(item: Evaluation) -> str:
    benchmark = item.benchmark
    number = items_asked(benchmark, item.dataset)
    asked = f"{number or 'all'} items of {item.dataset.name}"
    if number < (benchmark.num_prompts or 0):
        asked += f", which has no more ({benchmark.num_prompts} are asked for)"
    return f"On {item.host}, {benchmark.name} with {benchmark.tool}: {asked}, {_bound(benchmark)}"


def _bound(benchmark: Benchmark) -> str:
    figure = "accuracy" if benchmark.case_type == "accuracy" else "output token throughput"
    if benchmark.expected is None:
        return f"{figure}, no baseline yet"
    baseline, threshold = benchmark.expected
    if benchmark.case_type == "accuracy":
        return f"{figure} ≥ {baseline:g} - {threshold:g} pp"
    return f"{figure} ≥ {threshold:g} x {baseline:g} tok/s"


def _process(process: PlannedProcess) -> dict[str, Any]:
    return {
        **asdict(process),
        "ports": list(process.ports),
        "argv": hide_in_argv(list(process.argv)),
        "env": hide_in_env(process.env),
        "files": hide_in_files(process.files),
    }


def _evaluation(plan: Plan, item: Evaluation) -> dict[str, Any]:
    command = _command(plan, item)
    return {
        **item.benchmark.model_dump(),
        "host": item.host,
        "dataset": asdict(item.dataset),
        "argv": hide_in_argv(list(item.argv)),
        "env": hide_in_env(_env(plan, command)) if command else {},
        "files": hide_in_files(dict(command.files)) if command else {},
        "env_script": list(item.env_script),
    }
