"""Say which of several points without an order is worse than all others, by measurements. Pure.

Hosts have no order: one of them is slow, and the others are of one level; or none is. That none is
has the same probability before the first measurement as that one is, whichever. The level of the
slow one is anywhere on the grid of levels, so that the more points there are, and the less they
are measured, the more it takes to call one slow (D. J. C. MacKay, Information Theory, Inference,
and Learning Algorithms (2003), chapter 28).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from ci.judge.bisection import (
    LEAST_NIGHTS,
    LEAST_OF_ALIKE,
    MOST_OF_AN_END,
    Stage,
    Standing,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ci.judge.bisection import Figures, Outcomes, Wanted
    from ci.judge.first_bad import Likelihoods


def odd_one(seen: Figures | Outcomes, wanted: Wanted) -> Standing:
    """Say what is known, and which point to measure next.

    Args:
        seen: what was measured, of at least two points in any order.
        wanted: what an answer has to be.
    """
    counts = seen.counts()
    usable = [index for index, count in enumerate(counts) if count is not None]
    if len(usable) < 3:  # noqa: PLR2004 - of two, nothing tells which one is as it should be
        return Standing(Stage.UNCLEAR, None)
    least = min(usable, key=lambda each: (counts[each] or 0, each))
    if not counts[least]:
        return Standing(Stage.ENDS, least)
    shares = np.zeros(len(counts))
    shares[usable] = chances(seen.likelihoods(usable))
    worst = int(np.argmax(shares))
    worse, probability = float(shares.sum()), float(shares[worst])
    known = sum(count or 0 for count in counts)
    of_worst, of_least = counts[worst] or 0, counts[least] or 0

    def told(stage: Stage, following: int | None = None) -> Standing:
        first = tuple(map(float, shares))
        return Standing(stage, following, worse, 0.0, first, (worst, worst), probability)

    if probability >= wanted.certainty and of_worst >= LEAST_NIGHTS:
        return told(Stage.FOUND)
    if worse <= 1 - wanted.certainty and of_least >= LEAST_OF_ALIKE:
        return told(Stage.ALIKE)
    if of_least >= MOST_OF_AN_END or known >= wanted.most:
        return told(Stage.ALIKE if worse < 0.5 else Stage.UNCLEAR)  # noqa: PLR2004 - the likelier
    # The suspect is measured as often as all others are, and once more.
    return told(Stage.BETWEEN, worst if of_worst <= of_least else least)


def chances(likelihoods: Likelihoods) -> NDArray[np.float64]:
    """Return the probability of each point to be the only one that is worse.

    Args:
        likelihoods: of the points.
    """
    logs, apart = likelihoods.logs, likelihoods.apart
    logs_bad = logs + (likelihoods.bad - special.logsumexp(likelihoods.bad))
    together = logs.sum(axis=0) + likelihoods.noises[:, None] + likelihoods.good
    others = together[None] - logs
    top, tops = others.max(), logs_bad.max(axis=(1, 2), keepdims=True)
    bad = np.exp(logs_bad - tops)
    below = np.zeros_like(bad)
    below[..., apart:] = np.cumsum(bad, axis=2)[..., : bad.shape[2] - apart]
    weights = np.log(np.sum(np.exp(others - top) * below, axis=(1, 2)) + 1e-300) + tops[:, 0, 0]
    weights -= np.log(len(logs))
    none = float(np.log(np.sum(np.exp(together - top)) + 1e-300))
    most = max(float(weights.max()), none)
    one = np.exp(weights - most)
    shares: NDArray[np.float64] = one / (one.sum() + np.exp(none - most))
    return shares
