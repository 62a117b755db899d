"""Say which loss a single night shows, and with how many items or passes one is found. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from scipy import special

from ci.judge import band
from ci.judge.power import PAST_NIGHTS, Draw, power
from ci.judge.spread import t_of_p

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.judge.decide import Levels
    from ci.judge.planned import PlannedCheck

# Share of nights in which a loss is found that a check "sees".
SEES = 0.9
# Share of nights in which a single night shows the smallest drop; 80 % is the convention of J.
# Cohen, Statistical Power Analysis (1988), 56.
SHOWS = 0.8
# More passes than any night has time for.
MOST_PASSES = 64


def smallest_drop(check: PlannedCheck, level: float, shows: float = SHOWS) -> float | None:
    """Return the smallest drop that a single night shows, in points or percent.

    That is one whose figure is, in so many nights, lower than a healthy model's is with probability
    `level`. Accuracy: at best, as if each item's chance were known. Performance: against ten nights
    whose noise is all that is known of it (Student's t).

    Args:
        check: of accuracy with a known number of items.
        level: probability, e.g. `Levels.fail`.
        shows: share of nights.

    Returns:
        The drop; None if none of the baseline or less shows itself.
    """
    if check.kind == "performance":
        error = -t_of_p(level, PAST_NIGHTS - 1) * math.sqrt(1 + 1 / PAST_NIGHTS)
        return 100 * (1 - math.exp(-(error + special.ndtri(shows)) * check.sd / 100))
    most = _most_correct(check, level)
    if most is None or band.at_most(check, most, check.baseline) < shows:
        return None
    low, high = 0.0, check.baseline
    while high - low > 0.05:  # noqa: PLR2004 - points
        middle = (low + high) / 2
        low, high = (low, middle) if band.at_most(check, most, middle) >= shows else (middle, high)
    return high


def _most_correct(check: PlannedCheck, level: float) -> int | None:
    """Return the most correct answers that a healthy model has with less than a probability."""
    few, many = -1, check.trials
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if band.at_most(check, middle) < level else (few, middle)
    return few if few >= 0 else None


def that_sees(
    check: PlannedCheck, drop: float, levels: Levels, available: int, draw: Draw
) -> PlannedCheck | None:
    """Return the check with as many items or passes as it needs to find a drop in 9 of 10 nights.

    Args:
        check: of accuracy with a known number of items.
        drop: in points or percent.
        levels: of the two stages.
        available: number of items of the whole dataset; items come before passes.
        draw: the nights to draw for each attempt.

    Returns:
        The same check if it does; None if even 64 passes are too few, or nothing can be lost.
    """
    if check.kind == "accuracy" and check.share(drop) == 0:
        return None
    more = (each for each in _larger(check, available) if _sees(each, drop, levels, draw))
    return next(more, None)


def _sees(check: PlannedCheck, drop: float, levels: Levels, draw: Draw) -> bool:
    return power(check, drop, levels, draw).fails >= SEES


def _larger(check: PlannedCheck, available: int) -> Iterator[PlannedCheck]:
    yield check
    while check.kind == "accuracy" and check.items < available:
        check = replace(check, items=min(2 * check.items, available))
        yield check
    while 2 * check.passes <= MOST_PASSES:
        check = replace(check, passes=2 * check.passes)
        yield check
