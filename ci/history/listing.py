"""List the nights and the cases of the history's database."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.judge.past import CheckId

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

# The largest integer of SQLite.
MAX_ROWS = 2**63 - 1


@dataclass(frozen=True)
class ShownFigure:
    """A figure of a night, for lists."""

    benchmark: str
    metric: str
    value: float
    unit: str
    outcome: str


@dataclass(frozen=True)
class PastNight:
    """A night of the history, for lists.

    Attributes:
        hosts: their names.
        figures: those that have a check.
        problem: the first one of its measurements; empty if there was none.
    """

    run: str
    folder: str
    case: str
    config: str
    outcome: str
    cause: str
    vllm: str
    device: str
    hosts: tuple[str, ...]
    started_at: str
    ended_at: str
    git_commit: str
    figures: tuple[ShownFigure, ...] = ()
    problem: str = ""


_COLUMNS = (
    "id, folder, case_name, config, outcome, cause, vllm, device, hosts, started_at, ended_at, "
    "git_commit, number"
)


def nights(
    connection: sqlite3.Connection, *, case: str = "", outcome: str = "", limit: int = -1
) -> tuple[PastNight, ...]:
    """List nights, the newest first; without runs that only belong to one.

    Args:
        connection: the database.
        case: only those of this case; empty for all.
        outcome: only those with this outcome; empty for all.
        limit: the largest number; -1 for all.
    """
    query = (
        f"SELECT {_COLUMNS} FROM runs WHERE purpose = 'night' "  # noqa: S608
        "AND (:case = '' OR case_name = :case) "
        "AND (:outcome = '' OR outcome = :outcome) ORDER BY started_at DESC, id DESC LIMIT :limit"
    )
    given = {"case": case, "outcome": outcome, "limit": min(limit, MAX_ROWS)}
    return tuple(_night(connection, row) for row in connection.execute(query, given).fetchall())


def last_nights(connection: sqlite3.Connection) -> tuple[tuple[PastNight, int], ...]:
    """List the last night of each case with the number of its nights, sorted by case."""
    cases = connection.execute(
        "SELECT case_name, count(*) FROM runs WHERE purpose = 'night' "
        "GROUP BY case_name ORDER BY case_name"
    ).fetchall()
    return tuple((nights(connection, case=case, limit=1)[0], count) for case, count in cases)


def cases(connection: sqlite3.Connection) -> tuple[tuple[str, str], ...]:
    """List name and path of each case that has a night."""
    return tuple(connection.execute("SELECT DISTINCT case_name, config FROM runs ORDER BY 1, 2"))


def checks_of(connection: sqlite3.Connection, case: str) -> tuple[CheckId, ...]:
    """List the checks of a case that are figures of its benchmarks, in the order of a night."""
    query = (
        "SELECT name, metric FROM checks JOIN runs ON runs.number = checks.run "
        "WHERE case_name = ? AND value IS NOT NULL AND name IN "
        "(SELECT benchmark FROM evaluations WHERE run = checks.run) "
        "GROUP BY name, metric ORDER BY min(position), name, metric"
    )
    return tuple(CheckId(case, *row) for row in connection.execute(query, (case,)))


def runs_named(connection: sqlite3.Connection, prefix: str) -> tuple[tuple[str, str], ...]:
    """List id and folder of the runs whose id or folder begins so."""
    return tuple(
        connection.execute(
            "SELECT id, folder FROM runs WHERE substr(id, 1, :n) = :prefix "
            "OR substr(folder, 1, :n) = :prefix ORDER BY id",
            {"prefix": prefix, "n": len(prefix)},
        )
    )


def _night(connection: sqlite3.Connection, row: tuple[object, ...]) -> PastNight:
    *texts, number = row
    night = PastNight(*texts)  # type: ignore[arg-type] # texts, in the order of the columns
    return replace(
        night,
        hosts=tuple(json.loads(str(night.hosts))),
        figures=tuple(_figures(connection, number)),
        problem=_problem(connection, number),
    )


def _figures(connection: sqlite3.Connection, number: object) -> Iterator[ShownFigure]:
    """Yield the checks whose value is a figure of a benchmark."""
    query = (
        "SELECT name, metric, value, unit, outcome FROM checks WHERE run = ? AND value IS NOT NULL "
        "AND name IN (SELECT benchmark FROM evaluations WHERE run = checks.run) ORDER BY position"
    )
    for row in connection.execute(query, (number,)):
        yield ShownFigure(*row)


def _problem(connection: sqlite3.Connection, number: object) -> str:
    query = (
        "SELECT problems FROM evaluations WHERE run = ? AND problems <> '[]' "
        "ORDER BY evaluations.number LIMIT 1"
    )
    row = connection.execute(query, (number,)).fetchone()
    return str(json.loads(row[0])[0]) if row else ""
