"""List the packages that a plan's processes run with. Effects, through agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.connect.fan_out import all_of
from ci.doctor.needs import processes_on
from ci.plan.model import PATH_VLLM

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.agent.client import Agent
    from ci.doctor.model import Facts, Packages
    from ci.plan.model import Plan

LIST_S = 60.0


def installed_on(agents: Mapping[str, Agent], plan: Plan) -> dict[str, Packages]:
    """List the packages that are now installed in every environment of a plan.

    Args:
        agents: host → agent.
        plan: its environments count, and the `vllm` on a host's PATH where the plan starts that.

    Returns:
        Host → environment → packages.

    Raises:
        ConnectionLost, CommandTimedOut, SeveralFailed: hosts did not answer.
    """
    wanted = {host: {**_made(plan, host), **_own(plan, host)} for host in agents}
    return _list_packages(agents, wanted)


def installed_before(
    agents: Mapping[str, Agent], plan: Plan, facts: Mapping[str, Facts]
) -> dict[str, Packages]:
    """List the packages of the environments that several hosts already have.

    Outdated environments are left out, because a night makes them first. Hosts that do not answer
    are left out too.

    Args:
        agents: host → agent, for the hosts that have facts.
        plan: the plan that will run on the hosts.
        facts: host → facts.

    Returns:
        Host → environment → packages.
    """
    current = {host: _current(plan, host, facts[host]) for host in agents}
    several = {
        name
        for names in current.values()
        for name in names
        if sum(name in other for other in current.values()) > 1
    }
    wanted = {
        host: {name: path for name, path in names.items() if name in several}
        for host, names in current.items()
    }
    return _list_packages(agents, wanted, partly=True)


def _list_packages(
    agents: Mapping[str, Agent],
    wanted: Mapping[str, Mapping[str, str | None]],
    *,
    partly: bool = False,
) -> dict[str, Packages]:
    paths = {
        host: sorted({path for path in names.values() if path}) for host, names in wanted.items()
    }
    outcomes = gather(
        (
            (host, agents[host], "packages", agents[host].ask("packages", paths=paths[host]))
            for host in wanted
            if paths[host]
        ),
        LIST_S,
    )
    if partly:
        outcomes = {
            host: outcome for host, outcome in outcomes.items() if isinstance(outcome, Answer)
        }
    values = {host: answer.value for host, answer in all_of(outcomes).items()}
    # A host whose paths are all unknown was not asked.
    unasked = [] if partly else [host for host in wanted if not paths[host]]
    listed = {**{host: {} for host in unasked}, **values}
    return {
        host: {name: _packages(listed[host].get(path)) for name, path in names.items()}
        for host, names in wanted.items()
        if host in listed
    }


def _packages(listed: list[str] | None) -> tuple[str, ...] | None:
    return None if listed is None else tuple(listed)


def _made(plan: Plan, host: str) -> dict[str, str]:
    return {
        item.name: item.path
        for item in plan.preparations
        if (item.host, item.kind) == (host, "environment")
    }


def _own(plan: Plan, host: str) -> dict[str, str | None]:
    """Return the path of the host's own vLLM; None where the case sets PATH: it is not searched."""
    ours = tuple(f"{path}/" for path in _made(plan, host).values())
    started = [
        process
        for process in processes_on(plan, host)
        if process.argv[0].rsplit("/", 1)[-1] == "vllm" and not process.argv[0].startswith(ours)
    ]
    known = [
        process.argv[0]
        for process in started
        if "/" in process.argv[0] or "PATH" not in process.env
    ]
    return {PATH_VLLM: known[0] if known else None} if started else {}


def _current(plan: Plan, host: str, facts: Facts) -> dict[str, str]:
    stamps = facts.get("environments") or {}
    return {
        item.name: item.path
        for item in plan.preparations
        if (item.host, item.kind) == (host, "environment")
        and stamps.get(item.path.rsplit("/", 1)[-1], {}).get("fingerprint") == item.fingerprint
    }
