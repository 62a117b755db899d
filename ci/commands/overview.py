"""What of which runs is on which hosts, as the hosts themselves say. Pure, but for `ask_hosts`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import call_all
from ci.agent.client import Agent
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANSWER_S = 30.0
LEASE = "lease"
# As a host itself has it: no name leads out of the folder that it is in.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


@dataclass(frozen=True)
class RunProcess:
    """One process of a run on a host, dead or alive."""

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
    """A process that is not of any run of ours and uses what a night would."""

    host: str
    what: str
    pid: int | None
    user: str
    command: str


@dataclass(frozen=True)
class Overview:
    """What is on the hosts.

    Attributes:
        hosts: all that were asked, in order.
        silent: host → why it did not answer.
        holders: host → who holds it; None when it is free.
    """

    hosts: tuple[str, ...]
    rows: tuple[RunProcess, ...]
    strangers: tuple[ForeignProcess, ...]
    silent: Mapping[str, str]
    holders: Mapping[str, Mapping[str, Any] | None]

    def of(self, runs: Iterable[str]) -> tuple[RunProcess, ...]:
        """The processes of these runs."""
        wanted = set(runs)
        return tuple(row for row in self.rows if row.run in wanted)


def ask_hosts(reached: Mapping[str, Agent | LamplighterError]) -> Overview:
    """Ask every host what runs there.

    Args:
        reached: host → its agent, or why it cannot be connected to.
    """
    agents = {host: one for host, one in reached.items() if isinstance(one, Agent)}
    runs = call_all(agents, "runs", ANSWER_S)
    facts = call_all(agents, "facts", ANSWER_S, ports=[], paths=[])
    read = {host: _read(host, one) for host, one in {**reached, **runs}.items()}
    answered = {host: one for host, one in read.items() if isinstance(one, _Runs)}
    return Overview(
        hosts=tuple(reached),
        rows=tuple(row for found in answered.values() for row in found.rows),
        strangers=tuple(one for host in answered for one in _strangers(host, facts[host])),
        silent={host: one for host, one in read.items() if isinstance(one, str)},
        holders={host: found.holder for host, found in answered.items()},
    )


@dataclass(frozen=True)
class _Runs:
    """One host's answer to `runs`."""

    rows: tuple[RunProcess, ...]
    holder: Mapping[str, Any] | None


def _read(host: str, answer: Agent | Answer | LamplighterError) -> _Runs | str:
    """Read what a host says of its runs, or say why there is nothing to read."""
    if not isinstance(answer, Answer):
        return str(answer)
    try:
        holder = answer.value["holder"]
        return _Runs(tuple(_rows(host, answer.value)), None if holder is None else {**holder})
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return f"what it says of its runs makes no sense ({error}); see who answers there"


def _name(value: object) -> str:
    """Take the name of a run or a process, which becomes that of a folder here."""
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{value!r} is no name of a run or a process")
    return value


def _rows(host: str, found: Mapping[str, Any]) -> Iterable[RunProcess]:
    for one in found["processes"]:
        yield RunProcess(
            host=host,
            run=_name(one["run"]),
            process=_name(one["process"]),
            owner=str(one.get("owner") or "?"),
            state=str(one["state"]),
            alive=bool(one["alive"]),
            started_at=str(one.get("started_at") or ""),
            pid=one.get("pid"),
            folder=str(one["folder"]),
        )


def _strangers(host: str, answer: Answer | LamplighterError) -> list[ForeignProcess]:
    if isinstance(answer, LamplighterError):
        return []
    try:
        return [
            ForeignProcess(
                host=host,
                what=f"{device.get('kind')} {device.get('index')}",
                pid=one.get("pid"),
                user=str(one.get("user") or "?"),
                command=str(one.get("command") or "?"),
            )
            for device in answer.value.get("accelerators") or ()
            for one in device.get("processes") or ()
            if not one.get("run")
        ]
    except (TypeError, AttributeError):
        return []
