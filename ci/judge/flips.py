"""Say how much a score differs between points by answers that flip. Pure.

Other kernels, another batch or another version flip answers of items both ways, which moves a score
at random. What differs between the nights of one point is noise of the nights, and shows in their
scores. What differs between points besides is an offset that no further night shows. Only flips
against the difference of two scores count, twice: those with it may be what is looked for
(Q. McNemar, Psychometrika 12 (1947), 153-157, compares the two counts).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.level import SAME_SHARE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# The least share of what is assumed without the items that is believed with them.
LEAST = 0.1
PERCENT = 100.0


def assumed(right: float, items: int) -> float:
    """Return the standard deviation of a score by flips, in points, if the items are unknown.

    Args:
        right: share of right answers.
        items: their number, at least 1.
    """
    return PERCENT * math.sqrt(SAME_SHARE * right * (1 - right) / items)


def offset_of(points: Sequence[Sequence[NDArray[np.float64]]]) -> float | None:
    """Return the standard deviation of the score of a point by its flips, in points.

    Args:
        points: point → night → share of right answers of each item, of the same items in the same
            order.

    Returns:
        The offset; None without two points, or without a point with two nights.
    """
    known = [np.array(nights) for nights in points if len(nights)]
    again = [nights for nights in known if len(nights) > 1]
    if len(known) < 2 or not again:  # noqa: PLR2004 - what differs takes two
        return None
    items = known[0].shape[1]
    df = sum(len(nights) - 1 for nights in again)
    within = sum(float(nights.var(axis=0).mean()) * len(nights) for nights in again) / df
    pairs = [*pairwise(known), (known[0], known[-1])]
    between = float(np.mean([_against(*pair, within) for pair in pairs])) / 2
    right = float(np.mean([nights.mean() for nights in known]))
    least = LEAST * assumed(right, items) ** 2
    return math.sqrt(max(PERCENT**2 * between / items, least))


def _against(one: NDArray[np.float64], other: NDArray[np.float64], within: float) -> float:
    """Return the variance of the difference of an item, of flips against that of the scores."""
    apart = one.mean(axis=0) - other.mean(axis=0)
    against = apart[apart < 0] if apart.mean() >= 0 else apart[apart > 0]
    return 2 * float(np.sum(against**2)) / len(apart) - within * (1 / len(one) + 1 / len(other))
