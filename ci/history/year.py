"""Read what a page of all nights shows from the history's database, in few queries."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
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

    @cached_property
    def day(self) -> str:
        """Return the day of its evening, in UTC: `2026-01-31`; empty if its time makes no sense."""
        try:
            return (datetime.fromisoformat(self.started_at) - _EVENING).date().isoformat()
        except (ValueError, OverflowError):
            return ""

    @cached_property
    def seconds(self) -> float:
        """Return how long it took; 0 if its times make no sense."""
        try:
            start, end = map(datetime.fromisoformat, (self.started_at, self.ended_at))
            return max(0.0, (end - start).total_seconds())
        except (ValueError, TypeError):
            return 0.0


@dataclass(frozen=True)
class YearCheck:
    """A check of a night.

    Attributes:
        measured: whether it is a figure of a benchmark, and no other proof.

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
    measured: bool


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
    for row in connection.execute(query, (since,)):
        before, listed, after = row[:11], row[11], row[12:]
        if listed not in hosts:
            hosts[listed] = tuple(json.loads(listed))
        found.append(YearNight(*before, hosts[listed], *after))
    return tuple(found)


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
    for run, *values, measured in connection.execute(query, (case, since)):
        found[run].append(YearCheck(*values, measured=bool(measured)))
    return {run: tuple(checks) for run, checks in found.items()}


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
