"""Write nights into the history's database, and read figures of it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ci.history.night import DIGITS, passes_of
from ci.history.packing import (
    for_each_answer,
    ids_in,
    items_of,
    marks_in,
    packed_correct,
    packed_details,
    packed_questions,
)
from ci.judge.past import Conditions, PastFigure

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from ci.history.night import MeasuredBenchmark, Night
    from ci.judge.past import CheckId
    from ci.tools.model import Item


def put(connection: sqlite3.Connection, night: Night) -> None:
    """Write a night; one with the same id is replaced. Needs a transaction around it."""
    connection.execute("DELETE FROM runs WHERE id = ?", (night.run,))
    connection.execute("DELETE FROM skipped WHERE folder = ?", (night.folder,))
    row = (
        *(night.run, night.folder, night.case, night.config, night.outcome, night.cause_kind),
        *(night.cause, night.vllm, night.environment, night.device, night.device_name),
        *(json.dumps(night.hosts), night.started_at, night.ended_at, night.command),
        *(night.git_commit, night.purpose),
    )
    columns = (
        "id, folder, case_name, config, outcome, cause_kind, cause, vllm, environment, device, "
        "device_name, hosts, started_at, ended_at, command, git_commit, purpose"
    )
    added = connection.execute(_insert("runs", columns), row)
    for number, measured in enumerate(night.measured):
        _put_measured(connection, added.lastrowid or 0, number, measured)
    columns = (
        "run, position, name, metric, value, unit, baseline, tolerance, bound, operator, outcome, "
        "reason"
    )
    checks = (
        (
            *(added.lastrowid, position, check.name, check.metric, check.value, check.unit),
            *(check.baseline, check.tolerance, check.bound, check.operator, check.outcome),
            check.reason,
        )
        for position, check in enumerate(night.checks)
    )
    connection.executemany(_insert("checks", columns), checks)


def _put_measured(
    connection: sqlite3.Connection, run: int, number: int, measured: MeasuredBenchmark
) -> None:
    settings = _put_settings(connection, measured.conditions) if measured.conditions else None
    columns = (
        "run, number, benchmark, repeat, started_at, ended_at, settings, questions, n_items, "
        "failed, missing, cut, empty, problems"
    )
    row = (
        *(run, number, measured.benchmark, measured.repeat, measured.started_at),
        *(measured.ended_at, settings, measured.questions, measured.n_items, measured.failed),
        *(measured.missing, measured.cut, measured.empty, json.dumps(measured.problems)),
    )
    connection.execute(_insert("evaluations", columns), row)
    figures = (
        (
            *(run, number, position, each.metric, each.value, each.unit, each.n),
            json.dumps(each.runs),
        )
        for position, each in enumerate(measured.figures)
    )
    columns = "run, number, position, metric, value, unit, n, runs"
    connection.executemany(_insert("figures", columns), figures)
    if measured.items:
        known = (measured.questions, packed_questions(measured.asked))
        connection.execute(_insert("questions", "digest, content", "OR IGNORE"), known)
        answers = (packed_correct(measured.items), packed_details(measured.items))
        columns = "run, number, correct, details"
        connection.execute(_insert("items", columns), (run, number, *answers))


def _put_settings(connection: sqlite3.Connection, conditions: Conditions) -> str:
    text = json.dumps(asdict(conditions), sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
    connection.execute(_insert("settings", "digest, conditions", "OR IGNORE"), (digest, text))
    return digest


def _insert(table: str, columns: str, otherwise: str = "") -> str:
    marks = ", ".join("?" for _ in columns.split(","))
    # The names are those of this module; values are parameters.
    return f"INSERT {otherwise} INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608


def remove(connection: sqlite3.Connection, folders: Sequence[str]) -> None:
    """Remove the runs of folders. Needs a transaction around it."""
    rows = [(folder,) for folder in folders]
    connection.executemany("DELETE FROM runs WHERE folder = ?", rows)
    connection.executemany("DELETE FROM skipped WHERE folder = ?", rows)


def remove_unused(connection: sqlite3.Connection) -> None:
    """Remove settings and questions that no measurement has. Needs a transaction around it."""
    for table, column in (("settings", "settings"), ("questions", "questions")):
        connection.execute(
            f"DELETE FROM {table} WHERE digest NOT IN "  # noqa: S608 - names of this module
            f"(SELECT {column} FROM evaluations WHERE {column} IS NOT NULL)"
        )


def figures(
    connection: sqlite3.Connection,
    check: CheckId,
    *,
    before: str = "~",
    limit: int = 365,
    with_items: bool = True,
) -> tuple[PastFigure, ...]:
    """Read the figures of a check, the oldest first.

    Args:
        connection: the database.
        check: case, benchmark and metric.
        before: only measurements that started before this time; UTC, ISO 8601.
        limit: the largest number of figures; the newest are taken.
        with_items: also read which items were right, which takes longer than all else.
    """
    given = {"case": check.case, "name": check.benchmark, "metric": check.metric}
    found = connection.execute(_FIGURES, given | {"time": before, "n": limit})
    names = [column[0] for column in found.description]
    rows = [dict(zip(names, row, strict=True)) for row in found]
    marks = _marks(connection, rows) if with_items else {}
    return tuple(_figure(row, marks) for row in reversed(rows))


_FIGURES = """
SELECT runs.number AS key, evaluations.number AS number, runs.id AS run, case_name, benchmark,
  figures.metric AS metric, figures.value AS value, figures.unit AS unit, n,
  evaluations.started_at AS started_at, hosts, repeat, device, device_name, vllm, environment,
  conditions, questions, n_items, failed, missing, cut, empty, problems, cause,
  figures.runs AS runs, runs.outcome AS night, purpose,
  (SELECT checks.outcome FROM checks WHERE checks.run = runs.number AND name = benchmark
   AND checks.metric = figures.metric LIMIT 1) AS outcome
FROM runs JOIN evaluations ON evaluations.run = runs.number
  JOIN figures ON figures.run = runs.number AND figures.number = evaluations.number
  LEFT JOIN settings ON settings.digest = evaluations.settings
WHERE case_name = :case AND benchmark = :name AND figures.metric = :metric
  AND evaluations.started_at < :time
ORDER BY evaluations.started_at DESC, runs.id DESC, evaluations.number DESC
LIMIT :n
"""


def _figure(
    row: Mapping[str, Any], marks: Mapping[tuple[int, int], Mapping[str, tuple[int, int]] | None]
) -> PastFigure:
    return PastFigure(
        run=row["run"],
        case=row["case_name"],
        benchmark=row["benchmark"],
        metric=row["metric"],
        value=row["value"],
        unit=row["unit"],
        n=row["n"],
        started_at=row["started_at"],
        host="+".join(json.loads(row["hosts"])),
        repeat=row["repeat"],
        device=row["device"],
        device_name=row["device_name"],
        vllm=row["vllm"],
        environment=row["environment"],
        conditions=_conditions(row["conditions"]) if row["conditions"] else None,
        questions=row["questions"],
        items=marks.get((row["key"], row["number"])),
        n_items=row["n_items"],
        failed=row["failed"],
        missing=row["missing"],
        cut=row["cut"],
        empty=row["empty"],
        problems=tuple(json.loads(row["problems"])),
        ended_early=row["cause"],
        outcome=row["outcome"] or row["night"],
        night=row["night"],
        runs=tuple(json.loads(row["runs"])),
        purpose=row["purpose"],
    )


@lru_cache(maxsize=1024)
def _conditions(text: str) -> Conditions:
    values = json.loads(text)
    lists = {key: tuple(each) for key, each in values.items() if isinstance(each, list)}
    return Conditions(**(values | lists))


def _marks(
    connection: sqlite3.Connection, rows: Sequence[Mapping[str, Any]]
) -> dict[tuple[int, int], Mapping[str, tuple[int, int]] | None]:
    """Return which items were right in each measurement."""
    questions: dict[str, list[str]] = {}
    marks: dict[tuple[int, int], Mapping[str, tuple[int, int]] | None] = {}
    for row in rows:
        key, digest = (row["key"], row["number"]), row["questions"]
        if key in marks or not digest:
            continue
        if digest not in questions:
            query = "SELECT content FROM questions WHERE digest = ?"
            questions[digest] = ids_in(connection.execute(query, (digest,)).fetchone()[0])
        query = "SELECT correct FROM items WHERE run = ? AND number = ?"
        (correct,) = connection.execute(query, key).fetchone()
        right = marks_in(correct)
        marks[key] = passes_of(for_each_answer(questions[digest], len(right)), right)
    return marks


def stored_items(connection: sqlite3.Connection, run: str, benchmark: str) -> tuple[Item, ...]:
    """Read the items of a benchmark's first measurement; empty if there are none."""
    row = connection.execute(
        "SELECT content, correct, details FROM runs JOIN evaluations ON evaluations.run = "
        "runs.number JOIN items ON items.run = runs.number AND items.number = evaluations.number "
        "JOIN questions ON questions.digest = evaluations.questions "
        "WHERE id = ? AND benchmark = ? ORDER BY evaluations.number LIMIT 1",
        (run, benchmark),
    ).fetchone()
    return items_of(*row) if row else ()
