"""List the runs on hosts, as the hosts themselves report them. Pure, except for `ask_hosts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import call_all
from ci.agent.client import Agent
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANSWER_S = 30.0


@dataclass(frozen=True)
class RunProcess:
    """A process of a run on a host, alive or ended."""

    host: str
    run: str
    process: str
    owner: str
    state: str
    alive: bool
    started_at: str
    pid: int | None
    folder: str


@dataclass(frozen=True)
class ForeignProcess:
    """A process that belongs to no run and uses an accelerator."""

    host: str
    what: str
    pid: int | None
    user: str
    command: str


@dataclass(frozen=True)
class Overview:
    """The runs and foreign processes on hosts.

    Attributes:
        hosts: all hosts, in order.
        rows: the processes of runs.
        foreign: processes that belong to no run.
        silent: host → the reason why it did not reply.
        holders: host → the run that holds it; None if it is free.
    """

    hosts: tuple[str, ...]
    rows: tuple[RunProcess, ...]
    foreign: tuple[ForeignProcess, ...]
    silent: Mapping[str, str]
    holders: Mapping[str, Mapping[str, Any] | None]

    def of(self, runs: Iterable[str]) -> tuple[RunProcess, ...]:
        """Return the processes of these runs."""
        wanted = set(runs)
        return tuple(row for row in self.rows if row.run in wanted)


def ask_hosts(reached: Mapping[str, Agent | LamplighterError], run: str = "") -> Overview:
    """Ask every host for its processes.

    Args:
        reached: host → its agent, or the error of the connection.
        run: a run that is to be ended: also what is left of it without a state.
    """
    agents = {host: agent for host, agent in reached.items() if isinstance(agent, Agent)}
    runs = call_all(agents, "runs", ANSWER_S, run=run)
    facts = call_all(agents, "facts", ANSWER_S, ports=[])
    parsed = {host: _parse(host, reply) for host, reply in {**reached, **runs}.items()}
    states = {host: state for host, state in parsed.items() if isinstance(state, _HostState)}
    return Overview(
        hosts=tuple(reached),
        rows=tuple(row for state in states.values() for row in state.rows),
        foreign=tuple(
            process for host in states for process in _foreign_processes(host, facts[host])
        ),
        silent={host: error for host, error in parsed.items() if isinstance(error, str)},
        holders={host: state.holder for host, state in states.items()},
    )


@dataclass(frozen=True)
class _HostState:
    """A host's reply to `runs`."""

    rows: tuple[RunProcess, ...]
    holder: Mapping[str, Any] | None


def _parse(host: str, answer: Agent | Answer | LamplighterError) -> _HostState | str:
    """Read a host's reply to `runs`, whose form is checked; return its error if there is none."""
    if not isinstance(answer, Answer):
        return str(answer)
    return _HostState(tuple(_rows(host, answer.value)), answer.value["holder"])


def _rows(host: str, reply: Mapping[str, Any]) -> Iterable[RunProcess]:
    for row in reply["processes"]:
        yield RunProcess(
            host=host,
            run=row["run"],
            process=row["process"],
            owner=row.get("owner") or "?",
            state=row["state"],
            alive=row["alive"],
            started_at=row.get("started_at") or "",
            pid=row.get("pid"),
            folder=row["folder"],
        )


def _foreign_processes(host: str, answer: Answer | LamplighterError) -> list[ForeignProcess]:
    if isinstance(answer, LamplighterError):
        return []
    return [
        ForeignProcess(
            host=host,
            what=f"{device['kind']} {device['index']}",
            pid=process["pid"],
            user=process["user"] or "?",
            command=process["command"] or "?",
        )
        for device in answer.value.get("accelerators") or ()
        for process in device["processes"]
        if not process["run"]
    ]
