"""Count what the judge cried falsely, by what became of its failures. Reads ledgers and records."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.case.judging import Judging
from ci.errors import UserError
from ci.history.ledger import load_ledger
from ci.judge.baseline import NONE_YET, Ledger
from ci.record.stored import read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Counts:
    """What some nights judged.

    Attributes:
        nights: their number.
        checks: number of figures that were held against something, and passed or failed.
        failed: number of those that failed.
        taken_back: number of those whose run was accepted as a baseline later, or rejected as one
            that says nothing.
    """

    nights: int = 0
    checks: int = 0
    failed: int = 0
    taken_back: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Count both."""
        return Counts(
            self.nights + other.nights,
            self.checks + other.checks,
            self.failed + other.failed,
            self.taken_back + other.taken_back,
        )


@dataclass(frozen=True)
class Rate:
    """The realised and the accepted number of false alarms of a case, or of all.

    Attributes:
        case: its name; empty for all.
        counts: of its nights.
        accepted: number of false alarms that are accepted in a month.
        itself: of the second runs of one version: whatever fails there is a false alarm.
    """

    case: str
    counts: Counts = field(default_factory=Counts)
    accepted: float = 0.0
    itself: Counts = field(default_factory=Counts)


def rates_since(
    runs: Path,
    connection: sqlite3.Connection,
    ledgers: Path,
    since: str,
    warn: Callable[[str], None],
) -> tuple[Rate, ...]:
    """Count the nights of each case since a time, sorted by case.

    Args:
        runs: the folder of all runs.
        connection: their database.
        ledgers: the folder of all ledgers.
        since: UTC, ISO 8601.
        warn: called with a message about a ledger that cannot be read.
    """
    query = (
        "SELECT number, id, folder, case_name, purpose FROM runs WHERE started_at >= ? "
        "AND purpose IN ('night', 'against-itself') ORDER BY case_name, started_at"
    )
    rates: dict[str, Rate] = {}
    known: dict[str, Ledger] = {}
    folders: dict[str, str] = {}
    for number, run, folder, case, purpose in connection.execute(query, (since,)).fetchall():
        if case not in known:
            known[case], rates[case] = _ledger(ledgers, case, warn), Rate(case)
        ledger, rate = known[case], rates[case]
        counts = _counts(_judged(connection, number), run, ledger)
        key = "counts" if purpose == "night" else "itself"
        rates[case] = replace(rate, **{key: getattr(rate, key) + counts})
        folders[case] = folder
    return tuple(
        replace(rate, accepted=_accepted(runs / folders[case])) for case, rate in rates.items()
    )


def total_of(rates: Iterable[Rate]) -> Rate:
    """Return the sum of the rates of several cases."""
    total = Rate("")
    for each in rates:
        total = Rate(
            "",
            total.counts + each.counts,
            total.accepted + each.accepted,
            total.itself + each.itself,
        )
    return total


def _judged(connection: sqlite3.Connection, number: int) -> list[tuple[str, str, str]]:
    """Return benchmark, metric and outcome of the figures of a night that were judged."""
    query = (
        "SELECT name, metric, outcome, reason FROM checks WHERE run = ? "
        "AND outcome IN ('pass', 'fail') AND value IS NOT NULL "
        "AND name IN (SELECT benchmark FROM evaluations WHERE run = checks.run)"
    )
    rows = connection.execute(query, (number,)).fetchall()
    return [row[:3] for row in rows if not row[3].startswith(NONE_YET)]


def _counts(judged: list[tuple[str, str, str]], run: str, ledger: Ledger) -> Counts:
    accepted = {(each.benchmark, each.metric) for each in ledger.accepted if run in each.runs}
    failed = [row[:2] for row in judged if row[2] == "fail"]
    taken_back = len(failed) if run in ledger.rejected_runs else len(accepted & {*failed})
    return Counts(1, len(judged), len(failed), taken_back)


def _ledger(ledgers: Path, case: str, warn: Callable[[str], None]) -> Ledger:
    try:
        return load_ledger(ledgers, case)
    except UserError as error:
        warn(f"what was taken back of {case} is not known: {error}")
        return Ledger(case)


def _accepted(folder: Path) -> float:
    """Return the number of false alarms that the last night of a case accepted in a month."""
    try:
        return read_run(folder).run.judge.false_alarms_a_month
    except UserError:
        return Judging().false_alarms_a_month
