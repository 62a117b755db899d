"""Find the change points of a case, with what changed around the hosts. Reads folders of runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.differences import differences
from ci.history.listing import checks_of, runs_named
from ci.history.store import figures
from ci.history.surroundings import surroundings_of
from ci.judge.change_points import change_points, is_installed, series_of
from ci.record.stored import read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ci.history.differences import Difference
    from ci.judge.change_points import ChangePoint
    from ci.judge.past import PastFigure
    from ci.record.stored import Stored


@dataclass(frozen=True)
class Step:
    """A change point of a case.

    Attributes:
        point: the change point.
        differences: the variables that differ between the nights before and after it, the nearest
            to the figures first; None if one of their records cannot be read.
        nearby: whether they differ between the nights around those, as nothing else does.
    """

    point: ChangePoint
    differences: tuple[Difference, ...] | None
    nearby: bool = False


@dataclass(frozen=True)
class Steps:
    """The change points of a case.

    Attributes:
        found: the newest first; None if Otava is not installed.
        series: number of series that have nights enough for one.
    """

    found: tuple[Step, ...] | None
    series: int


def steps_of(
    runs: Path,
    connection: sqlite3.Connection,
    case: str,
    rejected: Mapping[str, str],
    note: Callable[[str], None],
) -> Steps:
    """Find the change points of every figure of a case, over a year of nights.

    Args:
        runs: the folder of all runs.
        connection: their database.
        case: name of the case.
        rejected: run → why an operator rejected it.
        note: called with a message about a record that cannot be read.
    """
    series = [
        each
        for check in checks_of(connection, case)
        for each in series_of(figures(connection, check, with_items=False), rejected)
    ]
    if not series or not is_installed():
        return Steps(None if series else (), len(series))
    points = [point for each in series for point in change_points(each)]
    points.sort(key=lambda point: point.after.started_at, reverse=True)
    return Steps(tuple(_step(runs, connection, point, note) for point in points), len(series))


def _step(
    runs: Path, connection: sqlite3.Connection, point: ChangePoint, note: Callable[[str], None]
) -> Step:
    """Look for what changed between the two nights; if nothing did, between those around them."""
    found: tuple[Difference, ...] = ()
    for pair in ((point.before, point.after), point.around):
        try:
            before, after = (surroundings_of(_stored(runs, connection, each)) for each in pair)
        except UserError as error:
            note(f"what changed before {point.after.run} is not known: {error}")
            return Step(point, None)
        if found := differences(before, after):
            return Step(point, found, nearby=pair == point.around)
    return Step(point, found)


def _stored(runs: Path, connection: sqlite3.Connection, figure: PastFigure) -> Stored:
    folders = dict(runs_named(connection, figure.run))
    return read_run(runs / folders[figure.run])
