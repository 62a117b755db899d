"""Describe a check before any night: what is asked, and what a healthy model would answer. Pure."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ci.judge.measured import Kind, RunNoise

# Of a run of a performance benchmark, in percent, where no history tells.
NOISE = 1.5
# Half of the variance of a pass is of its answers, and half of which items are hard: of long
# answers at a temperature. Greedy answers vary less.
WITHIN = 0.5
# An accuracy that nobody has measured yet, in percent.
ACCURACY = 80.0


@dataclass(frozen=True)
class PlannedCheck:
    """A check before any night.

    Attributes:
        kind: accuracy, or performance.
        baseline: the figure of a healthy night, in percent or token/s.
        bound: the least figure that passes; None without a band.
        items: number of items of a pass; 0 if unknown. Of accuracy only.
        passes: how often a night asks each item, or runs a performance benchmark.
        within: share of the variance of one pass that is within items: of an item's answers, and
            not of how hard it is.
        noise: standard deviation of a run of performance, in percent.
        known: the noise of repeated nights' figures that the judge knows; None before any night.
        decimals: of the accuracy that the tool prints; None if it is not rounded.
        unit: of a figure of performance, for readers.
        lower_is_better: whether it is a time. The bound is then that of the speed which takes such
            a time: only the shares of the baseline count.
    """

    kind: Kind
    baseline: float
    bound: float | None = None
    items: int = 0
    passes: int = 1
    within: float = WITHIN
    noise: float = NOISE
    known: RunNoise | None = None
    decimals: int | None = None
    unit: str = "tok/s"
    lower_is_better: bool = False

    @property
    def shown_bound(self) -> float | None:
        """Return the worst figure that passes, as the case means it."""
        turned = self.bound is not None and self.bound > 0 and self.lower_is_better
        return self.baseline**2 / self.bound if turned and self.bound else self.bound

    @property
    def knows_noise(self) -> bool:
        """Return whether the judge knows the noise of a run after some nights.

        Items tell it, and so do the passes of a night.
        """
        return self.kind == "accuracy" or self.passes > 1 or self.known is not None

    @property
    def trials(self) -> int:
        """Return the number of answers of a night."""
        return self.items * self.passes

    @property
    def sd(self) -> float:
        """Return the standard deviation of a night's figure of performance, in percent."""
        return self.noise / math.sqrt(self.passes)

    def share(self, drop: float = 0.0) -> float:
        """Return the share of correct answers of a model that is so many points worse.

        A baseline of 100 % is a model that has made no mistake yet: half an answer less.
        """
        highest = (self.trials + 0.5) / (self.trials + 1)
        return min(max(min(self.baseline / 100, highest) - drop / 100, 0.0), 1.0)

    def percent(self, correct: int) -> float:
        """Return the accuracy of so many correct answers, as the tool prints it."""
        value = 100 * correct / self.trials
        return value if self.decimals is None else round(value, self.decimals)


def chances(check: PlannedCheck, drop: float = 0.0) -> NDArray[np.float64]:
    """Return the chance of each item to be answered correctly.

    The items have the quantiles of the beta distribution whose variance leaves the share `within`
    to their answers. A drop makes all of them harder by the same step of the logit, as in the
    item response model of G. Rasch (1960).

    Args:
        check: of accuracy, with a known number of items.
        drop: in points.
    """
    target = check.share(drop)
    if check.within >= 1 or target in (0.0, 1.0):
        return np.full(check.items, target)
    return special.expit(_logits(check.items, check.share(), check.within, target))


@functools.lru_cache(64)
def _logits(items: int, mean: float, within: float, target: float) -> NDArray[np.float64]:
    weight = within / (1 - within)
    places = (np.arange(items) + 0.5) / items
    easy = special.betaincinv(mean * weight, (1 - mean) * weight, places)
    logits = special.logit(np.clip(easy, 1e-9, 1 - 1e-9))
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        if special.expit(logits + middle).mean() < target:
            low = middle
        else:
            high = middle
    shifted: NDArray[np.float64] = logits + high
    return shifted
