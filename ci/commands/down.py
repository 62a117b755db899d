"""End runs on their hosts, from whichever controller: processes first, then what holds the host."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.ask_all import call_all, gather
from ci.agent.process import STOP_MARGIN_S
from ci.commands.overview import ANSWER_S, LEASE
from ci.connect.fan_out import fan_out
from ci.connect.tar_stream import MAX_BYTES
from ci.connect.unpack import FILE_MODE
from ci.errors import InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.commands.overview import Overview, RunProcess

GRACE_S = 10.0
PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Ended:
    """What came of it.

    Attributes:
        stopped: the processes that have been ended, with the state they were left in.
        troubles: what could not be ended, fetched or removed, each in one line.
    """

    stopped: tuple[tuple[RunProcess, str], ...]
    troubles: tuple[str, ...]


def end_runs(
    agents: Mapping[str, Agent], overview: Overview, runs: Sequence[str], home: Path
) -> Ended:
    """Stop every process of these runs, bring their logs home, and remove their folders.

    Touches nothing else on the hosts.

    Args:
        agents: host → agent.
        overview: what is on them.
        runs: the runs to end.
        home: the folder of all runs here; logs go to `<home>/<run>/logs/<host>/`.
    """
    rows = [row for row in overview.of(runs) if row.host in agents]
    stopped: list[tuple[RunProcess, str]] = []
    troubles: list[str] = []
    for group in (
        [row for row in rows if row.process != LEASE],
        [row for row in rows if row.process == LEASE],
    ):
        outcomes = gather(
            [
                (row.folder + row.host, agents[row.host], "stop", _stop(agents[row.host], row))
                for row in group
            ],
            STOP_MARGIN_S + GRACE_S,
        )
        for row, outcome in zip(group, outcomes.values(), strict=True):
            where = f"{row.process} of {row.run} on {row.host}"
            if isinstance(outcome, LamplighterError):
                troubles.append(f"{where}: {outcome}")
            elif outcome.value.get("survivors"):
                troubles.append(f"{where}: survived KILL: {outcome.value['survivors']}")
            elif row.alive:
                stopped.append((row, str(outcome.value["state"])))
    troubles += _logs_home(agents, rows, home)
    if not troubles:
        troubles += _forget(agents, runs)
    return Ended(tuple(stopped), tuple(troubles))


def _stop(agent: Agent, row: RunProcess):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return agent.ask("stop", folder=row.folder, grace_s=GRACE_S)


def _logs_home(agents: Mapping[str, Agent], rows: Sequence[RunProcess], home: Path) -> list[str]:
    by_place: dict[str, list[RunProcess]] = {}
    for row in rows:
        if row.process != LEASE:
            by_place.setdefault(f"{row.host} {row.run}", []).append(row)

    def fetch(place: str) -> None:
        for row in by_place[place]:
            target = home / row.run / "logs" / row.host / f"{row.process}.log"
            if not target.exists():
                _log_home(agents[row.host], f"{row.folder}/log", target)

    outcomes = fan_out(by_place, fetch)
    return [f"logs of {place}: {one}" for place, one in outcomes.items() if one is not None]


def _log_home(agent: Agent, log: str, target: Path) -> None:
    """Copy one log, whole or not at all; its parts' names have been checked in `found.py`."""
    part, left = target.with_suffix(".part"), MAX_BYTES
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(part, PRIVATE, FILE_MODE), "wb") as file:
            for piece in agent.read_pieces(log):
                left -= len(piece)
                if left < 0:
                    raise InfrastructureError(f"{log} has more than {MAX_BYTES} bytes; look at it")
                file.write(piece)
        part.replace(target)
    except OSError as error:
        raise InfrastructureError(f"{target}: {error.strerror}; make room and retry") from error
    finally:
        with suppress(OSError):  # it hides nothing that went wrong before
            part.unlink()


def _forget(agents: Mapping[str, Agent], runs: Sequence[str]) -> list[str]:
    troubles = []
    for run in runs:
        for host, answer in call_all(agents, "forget", ANSWER_S, run=run).items():
            said = answer if isinstance(answer, LamplighterError) else answer.value
            if said:
                troubles.append(f"{host}: {said}")
    return troubles
