"""What of which runs is on which hosts, as the hosts themselves say. Pure, but for `ask_hosts`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.errors import LamplighterError
from ci.hosts.agent import Agent
from ci.hosts.answers import call_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ANSWER_S = 30.0
LEASE = "lease"


@dataclass(frozen=True)
class Row:
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
class Stranger:
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
    rows: tuple[Row, ...]
    strangers: tuple[Stranger, ...]
    silent: Mapping[str, str]
    holders: Mapping[str, Mapping[str, Any] | None]

    def of(self, runs: Iterable[str]) -> tuple[Row, ...]:
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
    silent = {
        host: str(one)
        for host, one in {**reached, **runs}.items()
        if isinstance(one, LamplighterError)
    }
    answered = {h: one.value for h, one in runs.items() if not isinstance(one, LamplighterError)}
    return Overview(
        hosts=tuple(reached),
        rows=tuple(row for host, found in answered.items() for row in _rows(host, found)),
        strangers=tuple(
            one
            for host, answer in facts.items()
            if not isinstance(answer, LamplighterError)
            for one in _strangers(host, answer.value)
        ),
        silent=silent,
        holders={host: found["holder"] for host, found in answered.items()},
    )


def _rows(host: str, found: Mapping[str, Any]) -> Iterable[Row]:
    for one in found["processes"]:
        yield Row(
            host=host,
            run=one["run"],
            process=one["process"],
            owner=str(one.get("owner") or "?"),
            state=str(one["state"]),
            alive=bool(one["alive"]),
            started_at=str(one.get("started_at") or ""),
            pid=one.get("pid"),
            folder=one["folder"],
        )


def _strangers(host: str, facts: Mapping[str, Any]) -> Iterable[Stranger]:
    for device in facts.get("accelerators") or ():
        for one in device.get("processes") or ():
            if not one.get("run"):
                yield Stranger(
                    host=host,
                    what=f"{device.get('kind')} {device.get('index')}",
                    pid=one.get("pid"),
                    user=str(one.get("user") or "?"),
                    command=str(one.get("command") or "?"),
                )
