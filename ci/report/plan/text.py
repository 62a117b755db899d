"""Plan → what `inv plan` prints: a picture and every command for a person, or JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.case.variables import RUN_FOLDER
from ci.documents.messages import nearest
from ci.errors import UserError
from ci.plan.evaluations import job_of
from ci.record.redact import redact_argv, redact_env
from ci.report.plan import paste
from ci.report.plan.picture import picture
from ci.tools.model import items_asked
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.case.benchmark import Benchmark
    from ci.plan.model import Evaluation, Plan, PlannedProcess, Preparation
    from ci.tools.model import Command

# Where a process runs; RUN_FOLDER is where the files that it is given are.
OWN_FOLDER = "{workspace}/.lamplighter/<host>/<run>/{process}"


def as_values(plan: Plan, host: str = "") -> dict[str, Any]:
    """The plan as JSON-ready values, secrets redacted.

    Args:
        plan: of a night.
        host: name or index of the one host whose share is wanted; empty wants all.

    Raises:
        UserError: there is no such host.
    """
    chosen = _chosen(plan, host)
    router = plan.router if plan.router and _on(plan.router.host, chosen) else None
    return {
        "case": plan.case.name,
        "hosts": [asdict(one) for one in plan.hosts if _on(one.name, chosen)],
        "leader": plan.leader,
        "preparations": [
            {"name": item.name, "host": item.host, "kind": item.kind, "path": item.path}
            for item in plan.preparations
            if _on(item.host, chosen)
        ],
        "services": [_process(one) for one in plan.services if _on(one.host, chosen)],
        "processes": [_process(one) for one in plan.servers if _on(one.host, chosen)],
        "router": _process(router) if router else None,
        "endpoint": {**asdict(plan.endpoint), "url": plan.endpoint.url},
        "ranks": plan.ranks,
        "benchmarks": [
            _evaluation(plan, item) for item in plan.evaluations if _on(item.host, chosen)
        ],
    }


def as_text(plan: Plan, host: str = "") -> str:
    """The plan for a person: a picture, then in order every command in full, ready to paste.

    Args:
        plan: of a night.
        host: name or index of the one host whose share is wanted; empty wants all.

    Raises:
        UserError: there is no such host.
    """
    return "\n".join(_lines(plan, _chosen(plan, host))) + "\n"


def _chosen(plan: Plan, text: str) -> str:
    """The name of the host that is meant."""
    names = [host.name for host in plan.hosts]
    if not text or text in names:
        return text
    if text.isdecimal() and int(text) < len(names):
        return names[int(text)]
    near = nearest(text, names)
    guess = f"did you mean {near!r}? " if near else ""
    there = ", ".join(f"{at} {name}" for at, name in enumerate(names))
    raise UserError(f"--host {text}: the plan has no such host; {guess}There are: {there}")


def _on(host: str, chosen: str) -> bool:
    return chosen in {"", host}


def _lines(plan: Plan, chosen: str) -> Iterator[str]:
    yield f"Case {plan.case.name}: {plan.case.test_name}"
    yield f"  model      {plan.case.model}, served as {plan.endpoint.model}"
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
            yield f"# {number}. {title}"
            yield from commands


def _steps(plan: Plan) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Every step in order: the hosts that it is of; its title and what to type."""
    for items in plan.preparations_by_name:
        yield tuple(item.host for item in items), (_preparation(items),)
    for process in plan.processes:
        yield (process.host,), (_start(process), *_starting(plan, process))
    yield (plan.leader,), (f"Await readiness: {_readiness(plan)}",)
    if not plan.evaluations:
        smoke = "Smoke only: one chat and one completion (the case has no benchmarks)"
        yield (plan.leader,), (smoke,)
    for item in plan.evaluations:
        yield (item.host,), (f"{_sentence(item)}:", *_asking(plan, item))


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


def _starting(plan: Plan, process: PlannedProcess) -> Iterator[str]:
    """What to type to start a process, where a night starts it."""
    workspace = plan.host(process.host).workspace
    yield from paste.files(_inputs(workspace, process.name), process.files)
    own = paste.quoted(OWN_FOLDER.format(workspace=workspace, process=process.name))
    yield f"cd {paste.quoted(process.cwd)}" if process.cwd else f"mkdir -p {own} && cd {own}"
    yield from paste.command(process.env, process.argv)


def _ranks(plan: Plan) -> str:
    return f", in front of {plan.ranks} data-parallel ranks" if (plan.ranks or 1) > 1 else ""


def _readiness(plan: Plan) -> str:
    several = "every server " if len(plan.servers) > 1 else ""
    ranks = f", all {plan.ranks} ranks in its metrics" if (plan.ranks or 1) > 1 else ""
    through = " through the router" if plan.router else ""
    return f"{several}alive, health 200{ranks}, and a completion with a token in it{through}"


def _asking(plan: Plan, item: Evaluation) -> Iterator[str]:
    """What to type for an evaluation; nothing where the tool cannot tell without the dataset."""
    command = _command(plan, item)
    if command:
        folder = _inputs(plan.host(item.host).workspace, item.process)
        yield f"# The dataset's files are in {folder}/data."
        yield from paste.files(f"{folder}/work", command.files or {".keep": ""})
        yield from paste.command(command.env, command.argv)
    else:
        yield f"# Its command is known once the dataset {item.dataset.name} is here."


def _command(plan: Plan, item: Evaluation) -> Command | None:
    if not item.argv:
        return None
    folder = _inputs(plan.host(item.host).workspace, item.process)
    return TOOLS[item.benchmark.tool].command(job_of(item, plan.endpoint, folder))


def _inputs(workspace: str, name: str) -> str:
    return RUN_FOLDER.format(workspace=workspace, process=name)


def _sentence(item: Evaluation) -> str:
    mark = item.benchmark
    number = items_asked(mark, item.dataset)
    asked = f"{number or 'all'} items of {item.dataset.name}"
    if number < (mark.num_prompts or 0):
        asked += f", which has no more ({mark.num_prompts} are asked for)"
    return f"On {item.host}, {mark.name} with {mark.tool}: {asked}, {_bound(mark)}"


def _bound(mark: Benchmark) -> str:
    figure = "accuracy" if mark.case_type == "accuracy" else "output token throughput"
    if mark.expected is None:
        return f"{figure}, no baseline yet"
    baseline, threshold = mark.expected
    if mark.case_type == "accuracy":
        return f"{figure} ≥ {baseline:g} - {threshold:g} pp"
    return f"{figure} ≥ {threshold:g} x {baseline:g} tok/s"


def _process(process: PlannedProcess) -> dict[str, Any]:
    return {
        **asdict(process),
        "ports": list(process.ports),
        "argv": redact_argv(list(process.argv)),
        "env": redact_env(process.env),
    }


def _evaluation(plan: Plan, item: Evaluation) -> dict[str, Any]:
    command = _command(plan, item)
    return {
        **item.benchmark.model_dump(),
        "host": item.host,
        "dataset": asdict(item.dataset),
        "argv": list(item.argv),
        "env": dict(command.env) if command else {},
        "files": dict(command.files) if command else {},
    }
