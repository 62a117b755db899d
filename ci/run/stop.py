"""Stop the processes of a run, verify their end, and release the hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.agent.answers import Answer
from ci.agent.ask_all import call_all, gather
from ci.agent.process import STOP_MARGIN_S
from ci.agent.process_spec import ProcessSpec
from ci.errors import LamplighterError
from ci.remote.names import LEASE
from ci.run.processes import GRACE_S

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import ProcessState, RemoteProcess
    from ci.run.processes import Processes

    # Each process with its final state, and an error for each that could not be stopped.
    Ends = tuple[list[tuple[RemoteProcess, ProcessState]], list[str]]

VERIFY_S = 30.0


def keep(processes: Processes, seconds: float) -> list[str]:
    """Let the processes run without a controller; return an error for each host that cannot."""
    outcomes = call_all(processes.agents, "keep", VERIFY_S, seconds=seconds)
    return [
        f"{host}: {outcome}"
        for host, outcome in outcomes.items()
        if not isinstance(outcome, Answer)
    ]


def lost_hosts(processes: Processes) -> dict[str, str]:
    """Wait for reconnects, and return the hosts that are still lost, with the reason.

    A connection that broke a moment ago still looks open, so each host has to reply first.
    """
    call_all(processes.agents, "beat", VERIFY_S)
    for agent in processes.agents.values():
        agent.await_reconnect()
    return {host: agent.trouble for host, agent in processes.agents.items() if agent.trouble}


def stop(processes: Processes) -> Ends:
    """Stop all processes but the leases, except on lost hosts."""
    return _stop(processes, processes.started)


def release(processes: Processes) -> Ends:
    """Release the leases, except on lost hosts."""
    return _stop(processes, list(processes.leases.values()))


def _stop(processes: Processes, group: Sequence[RemoteProcess]) -> Ends:
    errors: list[str] = []
    requests = {
        f"{item.name} on {item.host}": (item, item.ask_to_stop())
        for item in group
        if not item.state.complete and not processes.agents[item.host].trouble
    }
    outcomes = gather(
        [
            (name, processes.agents[item.host], "stop", future)
            for name, (item, future) in requests.items()
        ],
        STOP_MARGIN_S + GRACE_S,
    )
    for name, outcome in outcomes.items():
        if isinstance(outcome, LamplighterError):
            errors.append(f"{name}: {outcome}")
        else:
            requests[name][0].stopped(outcome)
    return [(item, item.state) for item in group], errors


def find_survivors(processes: Processes) -> tuple[list[str], list[str]]:
    """List the run's processes that are still alive, and an error for each unverified host."""
    alive, unverified = [], []
    for host, answer in call_all(_reachable(processes), "runs", VERIFY_S).items():
        if isinstance(answer, LamplighterError):
            unverified.append(
                f"{host} was not verified: {answer}; its processes end by themselves "
                f"{ProcessSpec.lease_s:g} s after the last contact with this machine"
            )
            continue
        alive += [
            f"{host}: {row['process']}"
            for row in answer.value["processes"]
            if row.get("run") == processes.run and row.get("alive") and row["process"] != LEASE
        ]
    return alive, unverified


def clean(processes: Processes, excluded: Collection[str]) -> list[str]:
    """Remove the run's folder from all hosts but the excluded ones; return the errors."""
    errors = []
    agents = {host: a for host, a in _reachable(processes).items() if host not in excluded}
    for host, answer in call_all(agents, "forget", VERIFY_S, run=processes.run).items():
        error = answer if isinstance(answer, LamplighterError) else answer.value
        if error:
            errors.append(f"{host}: {error}")
    return errors


def _reachable(processes: Processes) -> dict[str, Agent]:
    return {host: agent for host, agent in processes.agents.items() if not agent.trouble}
