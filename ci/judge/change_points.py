"""Find the nights from which on a figure has another level. Pure.

With Apache Otava, which changes the e-divisive algorithm of D. S. Matteson and N. A. James (J. Am.
Stat. Assoc. 109 (2014), 334-345) for short series: M. Fleming et al., Hunter: Using Change Point
Detection to Hunt for Performance Regressions, ICPE '23, 199-206.

For reports only: a change point is found some nights after it, and decides nothing.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ci.judge.against import scale_of, unusable
from ci.judge.comparable import comparable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.judge.past import PastFigure
    from ci.judge.scale import Scale

# A new level has at least so many nights: fewer are accidents, which the judge looks at.
LEAST = 3
# The largest p of Student's t test between two levels. As the night is chosen so that p is small,
# more healthy series have one: of 1000 with normal noise, 0.4 % with 40 nights, 0.9 % with 150. A
# step of 5 % amid 40 nights with noise of 1.5 % was found in each of 300, in 99 % of them within
# one night of it; three nights after it, in 84 %.
MAX_P = 1e-4
INSTALL = "pip install --no-deps 'apache-otava>=0.8,<0.9'"


@dataclass(frozen=True)
class ChangePoint:
    """A night from which on a figure has another level.

    Attributes:
        before: the figure of the last night before it, on the same hosts.
        after: the figure of the first night of the new level.
        around: those of one night before and one night after them: the step may be a night off.
        old: the median of the nights before, back to the change point before them.
        new: the median of the nights from then on, up to the next change point.
        change: in points of a score, else in percent.
        better: whether the new level is a better one.
        p: of Student's t test between both.
    """

    before: PastFigure
    after: PastFigure
    around: tuple[PastFigure, PastFigure]
    old: float
    new: float
    change: float
    better: bool
    p: float


def is_installed() -> bool:
    """Whether Otava is there: it is optional."""
    return find_spec("otava") is not None


def series_of(
    figures: Sequence[PastFigure], rejected: Mapping[str, str]
) -> tuple[tuple[PastFigure, ...], ...]:
    """Split the figures of a check into series in which a step has a meaning.

    They are comparable with the newest valid figure, whatever their version of vLLM. Hosts differ:
    each group of them has its own series. Of a night, its first measurement counts.

    Args:
        figures: of one check, the oldest first.
        rejected: run → why an operator rejected it.

    Returns:
        The series with enough nights for two levels, each the oldest first.
    """
    valid = [each for each in figures if not unusable(each) and each.run not in rejected]
    if not valid:
        return ()
    newest = valid[-1]
    nights: dict[tuple[str, str], PastFigure] = {}
    for each in (*comparable(newest, valid, rejected=rejected).figures, newest):
        nights.setdefault((each.series, each.run), each)
    names = dict.fromkeys(series for series, _ in nights)
    split = (
        tuple(each for (series, _), each in nights.items() if series == name) for name in names
    )
    return tuple(series for series in split if len(series) >= 2 * LEAST)


def change_points(nights: Sequence[PastFigure]) -> tuple[ChangePoint, ...]:
    """Find the change points of a series.

    Args:
        nights: of one check on the same hosts, the oldest first, as of `series_of`.
    """
    scale = scale_of(nights[0])
    places = [scale.place(night.value) for night in nights]
    found = _with_long_levels(places)
    ends = [0, *(each.index for each in found), len(nights)]
    levels = [statistics.median(places[start:end]) for start, end in pairwise(ends)]
    points = (
        _point(nights, index, pair, float(each.stats.pvalue), scale)
        for each, index, pair in zip(found, ends[1:], pairwise(levels), strict=False)
    )
    return tuple(point for point in points if point is not None)


def _point(
    nights: Sequence[PastFigure], index: int, levels: tuple[float, float], p: float, scale: Scale
) -> ChangePoint | None:
    """Return a change point; None if it is too small to matter."""
    if abs(levels[1] - levels[0]) < scale.matters:
        return None
    old, new = map(scale.value, levels)
    change = new - old if scale.kind == "accuracy" else 100 * (new / old - 1)
    # A level has more nights than these.
    around = nights[index - 2], nights[index + 1]
    better = levels[1] > levels[0]
    return ChangePoint(nights[index - 1], nights[index], around, old, new, change, better, p)


def _with_long_levels(places: list[float]) -> list[Any]:
    """Return Otava's change points, without those of levels that are too short."""
    from otava.analysis import (  # noqa: PLC0415 - optional, and slow to import
        TTestSignificanceTester,
        compute_change_points,
        merge,
    )

    tester = TTestSignificanceTester(MAX_P)
    # A list: of an array, Otava takes the whole where it means a window.
    points, _ = compute_change_points(places, max_pvalue=MAX_P)
    while weak := _beside_short(points, len(places)):
        points.remove(max(weak, key=lambda point: point.stats.pvalue))
        spans = tester.get_intervals(points)
        points = [tester.change_point(each.to_candidate(), places, spans) for each in points]
        points = merge(points, places, MAX_P, 0.0)
    return list(points)


def _beside_short(points: Sequence[Any], nights: int) -> list[Any]:
    """Return the change points at an end of a level that is too short."""
    ends = [0, *(point.index for point in points), nights]
    short = [pair for pair in pairwise(ends) if pair[1] - pair[0] < LEAST]
    return [point for point in points if any(point.index in pair for pair in short)]
