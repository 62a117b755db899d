"""Write the output of `inv plan`: a picture and every command, or JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.judge.asked import asked_in
from ci.plan.passes import in_passes
from ci.record.known_secrets import hide_known, secrets_within
from ci.record.redact import plain, redacted
from ci.record.secrets import hide_in_argv, hide_in_env, hide_in_files
from ci.report.plan import paste
from ci.report.plan.measure import (
    bound_in_words,
    command_in,
    env_of,
    inputs_of,
    measurements,
)
from ci.report.plan.picture import picture

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.inventory.target import Target
    from ci.plan.model import Evaluation, Plan, PlannedProcess, Preparation

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
        "startup": {name: each.model_dump() for name, each in plan.case.startup.items()},
        "benchmarks": [
            _evaluation(plan, item) for item in plan.evaluations if _on(item.host, chosen)
        ],
    }
    return redacted(plain(values), secrets_within(plain(plan)))  # type: ignore[no-any-return]


def as_text(plan: Plan, host: str = "", targets: Sequence[Target] = ()) -> str:
    """Write the plan as text: a picture, then every command in order, ready to paste.

    Args:
        plan: the plan.
        host: name or index of a host, to write only its part; empty for all hosts.
        targets: how to connect to the hosts; any other host has its name as address.

    Raises:
        UserError: there is no such host.
    """
    text = "\n".join(_lines(plan, _chosen(plan, host), targets)) + "\n"
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


def _lines(plan: Plan, chosen: str, targets: Sequence[Target]) -> Iterator[str]:
    yield one_line(f"Case {plan.case.name}: {plan.case.test_name}")
    yield f"  model      {one_line(f'{plan.case.model}, served as {plan.endpoint.model}')}"
    yield f"  endpoint   {plan.endpoint.url}{_ranks(plan)}"
    yield from picture(plan, chosen)
    yield from (f"  warning    {one_line(str(warning))}" for warning in plan.warnings)
    yield ""
    share = f" that are {chosen}'s" if chosen else ""
    yield f"The steps{share}, each in a shell of its own; <run> is the run's id, <host> "
    yield "the host's folder."
    if plan.preparations:
        yield "`inv weights.fetch` with the same flags makes all environments and models."
    for number, (hosts, text) in enumerate(_steps(plan, targets), 1):
        if not chosen or chosen in hosts:
            yield ""
            title, *commands = text
            # A comment ends with its line: what followed would be a command.
            yield f"# {number}. {one_line(title)}"
            yield from commands


def _steps(
    plan: Plan, targets: Sequence[Target]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """List every step in order: its hosts, then its title and commands."""
    for items in plan.preparations_by_name:
        yield tuple(item.host for item in items), (_preparation(items),)
    for process in plan.processes:
        yield (process.host,), (_start(process), *_start_commands(plan, process))
    yield (plan.leader,), (f"Await readiness: {_readiness(plan)}{_startup(plan)}",)
    if not plan.evaluations:
        smoke = "Smoke only: one chat and one completion (the case has no benchmarks)"
        yield (plan.leader,), (smoke,)
    yield from measurements(plan, targets)


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
    yield from paste.files(inputs_of(workspace, process.name), process.files)
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


def _startup(plan: Plan) -> str:
    """Say which figures of the start are judged; empty if none are."""
    judged = "; ".join(map(bound_in_words, asked_in((), plan.case.startup)))
    return f"; from the logs: {judged}" if judged else ""


def _process(process: PlannedProcess) -> dict[str, Any]:
    return {
        **asdict(process),
        "ports": list(process.ports),
        "argv": hide_in_argv(list(process.argv)),
        "env": hide_in_env(process.env),
        "files": hide_in_files(process.files),
    }


def _evaluation(plan: Plan, item: Evaluation) -> dict[str, Any]:
    command = command_in(plan, item)
    return {
        **item.benchmark.model_dump(),
        "host": item.host,
        "dataset": asdict(item.dataset),
        "passes": item.passes.number,
        "processes": [each.process for each in in_passes(item)],
        "argv": hide_in_argv(list(item.argv)),
        "env": hide_in_env(env_of(plan, item, command)) if command else {},
        "files": hide_in_files(dict(command.files)) if command else {},
        "env_script": list(item.env_script),
    }
