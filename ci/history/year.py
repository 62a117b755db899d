"""Read what a page of all nights shows from the history's database, in few queries."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

# What starts in the morning still belongs to the night before: its day is that of its evening.
_EVENING = timedelta(hours=12)


@dataclass(frozen=True)
class YearNight:
    """A run, as a page of all nights needs it.

    Attributes:
        number: of the row in the database; it grows, and a night that is read again gets a new one.
        hosts: their names.
        environment: digest of the packages that vLLM ran with; empty if unknown.
        day: of its evening, in UTC: `2026-01-31`; empty if its times make no sense.
        seconds: how long it took; 0 if its times make no sense.

    The others are those of `ci.history.night.Night`.
    """

    number: int
    run: str
    folder: str
    case: str
    config: str
    outcome: str
    cause_kind: str
    cause: str
    vllm: str
    environment: str
    device_name: str
    hosts: tuple[str, ...]
    started_at: str
    ended_at: str
    purpose: str
    day: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class YearCheck:
    """A check of a night.

    Attributes:
        measured: 1 if it is a figure of a benchmark, 0 of other proofs.

    The others are those of `ci.judge.verdict.Check`.
    """

    name: str
    metric: str
    value: float | None
    unit: str
    baseline: float | None
    bound: float | None
    operator: str
    outcome: str
    reason: str
    measured: int


def runs_since(connection: sqlite3.Connection, since: str) -> tuple[YearNight, ...]:
    """Read all runs since a time, the oldest first; also those that belong to a night.

    Args:
        connection: the database.
        since: UTC, ISO 8601.
    """
    query = (
        "SELECT number, id, folder, case_name, config, outcome, cause_kind, cause, vllm, "
        "environment, device_name, hosts, started_at, ended_at, purpose FROM runs "
        "WHERE started_at >= ? ORDER BY started_at, id"
    )
    hosts: dict[str, tuple[str, ...]] = {}
    found = []
    for *before, listed, started, ended, purpose in connection.execute(query, (since,)):
        if listed not in hosts:
            hosts[listed] = tuple(json.loads(listed))
        times = _times(started, ended)
        values = [*before, hosts[listed], started, ended, purpose, *times]
        found.append(YearNight(*values))
    return tuple(found)


def _times(started: str, ended: str) -> tuple[str, float]:
    """Return the day of a run's evening and how long it took."""
    try:
        start, end = datetime.fromisoformat(started), datetime.fromisoformat(ended)
        return (start - _EVENING).date().isoformat(), max(0.0, (end - start).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return "", 0.0


def checks_since(
    connection: sqlite3.Connection, case: str, since: str
) -> Mapping[int, tuple[YearCheck, ...]]:
    """Read the checks of a case's runs since a time.

    Args:
        connection: the database.
        case: its name.
        since: UTC, ISO 8601.

    Returns:
        Number of a run → its checks, in their order.
    """
    query = (
        "SELECT run, name, metric, value, unit, baseline, bound, checks.operator, checks.outcome, "
        "reason, EXISTS (SELECT 1 FROM evaluations WHERE evaluations.run = checks.run "
        "AND benchmark = checks.name) FROM runs JOIN checks ON checks.run = runs.number "
        "WHERE case_name = ? AND started_at >= ? ORDER BY run, position"
    )
    found: defaultdict[int, list[YearCheck]] = defaultdict(list)
    for run, *values in connection.execute(query, (case, since)):
        found[run].append(YearCheck(*values))
    return {run: tuple(checks) for run, checks in found.items()}


def stamps_of(connection: sqlite3.Connection) -> Mapping[str, tuple[int, int]]:
    """Return case → number of its runs and the last row's number, which change with its runs."""
    query = "SELECT case_name, count(*), max(number) FROM runs GROUP BY case_name"
    return {case: (count, last) for case, count, last in connection.execute(query)}


def findings_of(connection: sqlite3.Connection, number: int) -> tuple[tuple[str, str, str], ...]:
    """Read name, metric and reason of the checks of a run that are no pass, failures first.

    Args:
        connection: the database.
        number: of the run's row.
    """
    query = (
        "SELECT name, metric, reason FROM checks WHERE run = ? AND outcome <> 'pass' "
        "ORDER BY outcome <> 'fail', position"
    )
    return tuple(connection.execute(query, (number,)))
