"""Lay the nights of all cases out as a grid: cases × last nights, and cases × weeks. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.history.year import YearNight

NIGHTS = 30
WEEKS = 52
_WORST = ("fail", "unknown", "running", "pass")


@dataclass(frozen=True)
class Cell:
    """A night of a case, or a week.

    Attributes:
        outcome: of the night's last run; the worst of a week. Empty if there was none.
        night: the run; None in a week or if there was none.
        counts: of a week: outcome → number of nights, the worst first.
        more: number of further runs of the same night.
    """

    outcome: str = ""
    night: YearNight | None = None
    counts: tuple[tuple[str, int], ...] = ()
    more: int = 0


@dataclass(frozen=True)
class Grid:
    """Nights × cases.

    Attributes:
        days: the last nights on which anything ran, the oldest first.
        weeks: the Mondays of the last weeks, the oldest first.
        by_night: case → a cell for each day.
        by_week: case → a cell for each week.
    """

    days: tuple[str, ...]
    weeks: tuple[str, ...]
    by_night: Mapping[str, tuple[Cell, ...]]
    by_week: Mapping[str, tuple[Cell, ...]]


def grid_of(nights: Sequence[YearNight]) -> Grid:
    """Lay nights out.

    Args:
        nights: of all cases, the oldest first.
    """
    dated = [night for night in nights if night.day]
    days = tuple(sorted({night.day for night in dated})[-NIGHTS:])
    weeks = _weeks(days[-1]) if days else ()
    monday = {day: monday_of(day) for day in {night.day for night in dated}}
    in_day: defaultdict[tuple[str, str], list[YearNight]] = defaultdict(list)
    in_week: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    first = days[0] if days else ""
    for night in dated:
        in_week[night.case, monday[night.day]][night.outcome] += 1
        if night.day >= first:
            in_day[night.case, night.day].append(night)
    cases = sorted({night.case for night in dated})
    return Grid(
        days,
        weeks,
        {case: tuple(_of_day(in_day.get((case, day), ())) for day in days) for case in cases},
        {case: tuple(_of_week(in_week.get((case, week))) for week in weeks) for case in cases},
    )


def monday_of(day: str) -> str:
    """Return the Monday of a day's week: `2026-01-26`."""
    found = date.fromisoformat(day)
    return (found - timedelta(days=found.weekday())).isoformat()


def _weeks(last: str) -> tuple[str, ...]:
    monday = date.fromisoformat(monday_of(last))
    return tuple((monday - timedelta(weeks=back)).isoformat() for back in range(WEEKS - 1, -1, -1))


def _of_day(runs: Sequence[YearNight]) -> Cell:
    return Cell(runs[-1].outcome, runs[-1], more=len(runs) - 1) if runs else Cell()


def _of_week(counts: Counter[str] | None) -> Cell:
    if not counts:
        return Cell()
    ordered = sorted(counts.items(), key=lambda pair: _rank(pair[0]))
    return Cell(ordered[0][0], counts=tuple(ordered))


def _rank(outcome: str) -> int:
    return _WORST.index(outcome) if outcome in _WORST else len(_WORST)
