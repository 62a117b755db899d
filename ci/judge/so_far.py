"""Say how sure a figure is before the night is judged. Pure.

It is for readers who watch: only the judge decides, by all that it knows of earlier nights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from scipy import special

from ci.judge.metrics import kind_of
from ci.judge.spread import t_of_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.asked import Asked

CONFIDENCE = 0.95


@dataclass(frozen=True)
class SoFar:
    """A figure that further passes may still change.

    Attributes:
        value: the mean of what was measured so far, in the unit of the metric.
        interval: where it would lie in 95 of 100 such measurements; None if that is unknown.
        bound: the worst figure that passes by the case; None if the case has none.
        standing: whether the bound is met; empty without one.
    """

    value: float
    interval: tuple[float, float] | None
    bound: float | None
    standing: Literal["", "met", "met so far", "missed so far", "missed"]


def so_far(asked: Asked, values: Sequence[float], items: int = 0) -> SoFar:
    """Look at what was measured so far of a figure.

    Args:
        asked: the figure, with the bound that its case has.
        values: of each measurement, at least one.
        items: number of items of each measurement, of which an accuracy is the share; 0 if unknown.
    """
    value = math.fsum(values) / len(values)
    interval = None
    if kind_of(asked.metric) == "accuracy" and items and 0 <= value <= 100:  # noqa: PLR2004
        # Passes ask the same items, so that they count as one of their mean.
        low, high = share_interval(value * items / 100, items, CONFIDENCE)
        interval = 100 * low, 100 * high
    elif kind_of(asked.metric) == "performance" and len(values) > 1:
        interval = mean_interval(values, CONFIDENCE)
    return SoFar(value, interval, asked.bound, _standing(asked, value, interval))


def share_interval(right: float, n: float, confidence: float) -> tuple[float, float]:
    """Return the exact interval of a share.

    C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), 404-413, by quantiles of beta
    distributions, which take parts of items as well.

    Args:
        right: number of right answers.
        n: number of answers, more than 0.
        confidence: e.g. 0.95.
    """
    tail = (1 - confidence) / 2
    low = special.betaincinv(right, n - right + 1, tail) if right > 0 else 0.0
    high = special.betaincinv(right + 1, n - right, 1 - tail) if right < n else 1.0
    return float(low), float(high)


def mean_interval(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the interval of a mean by Student's t.

    Args:
        values: at least two.
        confidence: e.g. 0.95.
    """
    n = len(values)
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = t_of_p((1 + confidence) / 2, n - 1) * sd / math.sqrt(n)
    return mean - half, mean + half


def _standing(
    asked: Asked, value: float, interval: tuple[float, float] | None
) -> Literal["", "met", "met so far", "missed so far", "missed"]:
    if asked.bound is None:
        return ""
    # So that more is better.
    sign = -1 if asked.lower_is_better else 1
    bound = sign * asked.bound
    worst, best = sorted(sign * each for each in interval or (value, value))
    slack = 1e-9 * max(abs(bound), 1.0)
    if sign * value >= bound - slack:
        return "met" if interval and worst >= bound - slack else "met so far"
    return "missed" if interval and best < bound - slack else "missed so far"
