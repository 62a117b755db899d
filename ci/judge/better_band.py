"""Propose a band that does better than the one of a case file. Pure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from scipy import special

from ci.judge.asked import bound_of
from ci.judge.band import LARGE_LOSS, fails, fault

if TYPE_CHECKING:
    from ci.judge.planned import PlannedCheck

# Share of healthy nights that a proposed band fails, at most.
FAILS_HEALTHY = 0.01
# A band without a fault is only left for one that finds this loss, in points or percent, much more
# often; so is one that is too wide, for the loss that makes it so.
WANTED = 5.0
MUCH_BETTER = 0.2


def better_threshold(check: PlannedCheck) -> float | None:
    """Return a threshold that does better than the check's, or None.

    It is that of the narrowest band that fails at most 1 of 100 healthy nights, if that fails
    fewer of them where the check's band is too narrow, or else finds a loss in at least a fifth
    of all nights more.

    Args:
        check: with a bound; of accuracy also with a known number of items.
    """
    threshold = narrowest(check)
    if threshold is None:
        return None
    other, wrong = with_threshold(check, threshold), fault(check)
    if wrong == "too narrow":
        return threshold if fails(other) < fails(check) else None
    loss = LARGE_LOSS if wrong else WANTED
    return threshold if fails(other, loss) >= fails(check, loss) + MUCH_BETTER else None


def narrowest(check: PlannedCheck, fails_healthy: float = FAILS_HEALTHY) -> float | None:
    """Return the threshold of the narrowest band that fails so few healthy nights, or fewer.

    Each answer is taken as drawn again. It has one decimal for accuracy and two for performance;
    None if only a band of the whole baseline would do.

    Args:
        check: of accuracy with a known number of items.
        fails_healthy: share of nights.
    """
    if check.kind == "performance":
        return math.floor(100 * math.exp(special.ndtri(fails_healthy) * check.sd / 100)) / 100
    thresholds = (tenths / 10 for tenths in range(1, round(10 * check.baseline)))
    fit = (each for each in thresholds if fails(with_threshold(check, each)) <= fails_healthy)
    return next(fit, None)


def with_threshold(check: PlannedCheck, threshold: float) -> PlannedCheck:
    """Return a check with another threshold."""
    return replace(check, bound=bound_of(check.kind, check.baseline, threshold))
