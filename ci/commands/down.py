"""End runs on their hosts, from any controller: first the processes, then the leases."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.ask_all import call_all, gather
from ci.agent.process import STOP_MARGIN_S
from ci.commands.overview import ANSWER_S
from ci.connect.fan_out import fan_out
from ci.connect.tar_stream import MAX_BYTES
from ci.connect.unpack import FILE_MODE
from ci.errors import InfrastructureError, LamplighterError
from ci.record.below import path_below
from ci.remote.names import LEASE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.commands.overview import Overview, RunProcess

GRACE_S = 10.0
PRIVATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class EndedRuns:
    """Result of ending runs.

    Attributes:
        stopped: the processes that were stopped, with their final state.
        errors: one line for each process, log or folder that could not be stopped, fetched or
            removed.
    """

    stopped: tuple[tuple[RunProcess, str], ...]
    errors: tuple[str, ...]


def end_runs(
    agents: Mapping[str, Agent], overview: Overview, runs: Sequence[str], home: Path
) -> EndedRuns:
    """Stop every process of these runs, fetch their logs, and remove their folders.

    Does not touch anything else on the hosts.

    Args:
        agents: host → agent.
        overview: the processes on the hosts.
        runs: ids of the runs to end.
        home: the folder of all runs on this machine; logs go to `<home>/<run>/logs/<host>/`.
    """
    rows = [row for row in overview.of(runs) if row.host in agents]
    stopped: list[tuple[RunProcess, str]] = []
    errors: list[str] = []
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
            name = f"{row.process} of {row.run} on {row.host}"
            if isinstance(outcome, LamplighterError):
                errors.append(f"{name}: {outcome}")
            elif outcome.value.get("survivors"):
                errors.append(f"{name}: survived KILL: {outcome.value['survivors']}")
            elif row.alive:
                stopped.append((row, str(outcome.value["state"])))
    errors += _fetch_logs(agents, rows, home)
    if not errors:
        errors += _remove_folders(agents, runs)
    return EndedRuns(tuple(stopped), tuple(errors))


def _stop(agent: Agent, row: RunProcess):  # type: ignore[no-untyped-def]  # noqa: ANN202
    return agent.ask("stop", folder=row.folder, grace_s=GRACE_S)


def _fetch_logs(agents: Mapping[str, Agent], rows: Sequence[RunProcess], home: Path) -> list[str]:
    by_host_and_run: dict[str, list[RunProcess]] = {}
    for row in rows:
        if row.process != LEASE:
            by_host_and_run.setdefault(f"{row.host} {row.run}", []).append(row)

    def fetch(key: str) -> None:
        for row in by_host_and_run[key]:
            target = home / row.run / "logs" / row.host / f"{row.process}.log"
            if not target.exists():
                _fetch_log(agents[row.host], f"{row.folder}/log", home / row.run, target)

    outcomes = fan_out(by_host_and_run, fetch)
    return [f"logs of {key}: {error}" for key, error in outcomes.items() if error is not None]


def _fetch_log(agent: Agent, log: str, folder: Path, target: Path) -> None:
    """Copy a log, whole or not at all; `overview.py` has checked the names in its path."""
    part, left = target.with_name(f".{target.name}.{secrets.token_hex(4)}"), MAX_BYTES
    try:
        path_below(folder, str(target.parent.relative_to(folder)))
        target.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(part, PRIVATE, FILE_MODE), "wb") as file:
            for piece in agent.read_pieces(log):
                left -= len(piece)
                if left < 0:
                    raise InfrastructureError(
                        f"{log} has more than {MAX_BYTES} bytes; look at it on the host"
                    )
                file.write(piece)
        part.replace(target)
    except OSError as error:
        raise InfrastructureError(
            f"{target}: {error.strerror}; free some space and retry"
        ) from error
    finally:
        with suppress(OSError):  # must not replace an earlier error
            part.unlink()


def _remove_folders(agents: Mapping[str, Agent], runs: Sequence[str]) -> list[str]:
    errors = []
    for run in runs:
        for host, answer in call_all(agents, "forget", ANSWER_S, run=run).items():
            error = answer if isinstance(answer, LamplighterError) else answer.value
            if error:
                errors.append(f"{host}: {error}")
    return errors
