"""Compare tonight's answers with what each item's own history lets expect. Pure.

Most items are right every night, some never: this costs no certainty. Only the items that are
sometimes right make a healthy night's total vary. A beta distribution is fitted to the shares of
correct answers of all items; each item's history sharpens it, so that its answers of tonight have a
beta-binomial distribution, and the distribution of their sum follows by convolution: exactly, also
for the many items that were always right so far and keep a small chance to fail.

J. G. Skellam, J. R. Stat. Soc. B 10 (1948), 257-261 (the beta-binomial distribution);
J. C. Kleinman, J. Am. Stat. Assoc. 68 (1973), 46-54 (its moment estimator, for equal sizes).
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from ci.judge.spread import p_of_t, sd_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ci.judge.measured import ItemCounts

# Bounds of the share of the variance that is between items: no set of items is known so well that
# none of them can change, and none is so alike that its history says nothing.
LEAST_BETWEEN, MOST_BETWEEN = 0.02, 0.995
# Nights from which their own spread is compared with what the items explain.
NIGHTS_FOR_SPREAD = 5
# The nights vary by more than their items explain, if chance does so in 5 of 100 cases.
SPREAD_IS_CHANCE = 0.05
# Fewer nights do not tell how much the answers to an item differ from run to run: whatever is
# assumed fails healthy models of another kind, so that an exact test has to agree.
NIGHTS_FOR_PRIOR = 4
# Standard deviations from the mean, beyond which no number of correct answers is possible.
FAR_FROM_MEAN = 12


class ItemHistory:
    """What the answers of past nights say about tonight's."""

    def __init__(self, nights: Sequence[ItemCounts]) -> None:
        """Pool the nights.

        Args:
            nights: at least one, all of the same items in the same order, and as many passes.

        Raises:
            ValueError: there is no night, or the items or passes differ.
        """
        if not nights:
            raise ValueError("no night to compare with")
        first = nights[0]
        if any(each.ids != first.ids or each.passes != first.passes for each in nights):
            raise ValueError("the nights have different items")
        self.nights = len(nights)
        self.passes = first.passes
        self.items = len(first.ids)
        self._correct: NDArray[np.int64] = np.sum([each.correct for each in nights], axis=0)
        self._trials = self.nights * self.passes
        self._totals = np.array([each.correct.sum() / self.passes for each in nights])

    @property
    def percent(self) -> float:
        """Return the accuracy of all nights together, in percent."""
        return 100 * float(self._correct.sum()) / (self.items * self._trials)

    @functools.cached_property
    def within(self) -> float:
        """Return the variance of one pass's number of correct answers from run to run.

        It is the sum of p (1 - p) over the items, unbiased; at least half an answer.
        """
        shares = self._correct / self._trials
        unbiased = self._trials / max(self._trials - 1, 1)
        return max(float(np.sum(shares * (1 - shares))) * unbiased, 0.5)

    @functools.cached_property
    def varies_more(self) -> bool:
        """Whether the nights vary by more than their items explain: something shifts them all."""
        if self.nights < NIGHTS_FOR_SPREAD:
            return False
        ratio = sd_of(self._totals) ** 2 * (self.nights - 1) * self.passes / self.within
        return float(special.chdtrc(self.nights - 1, ratio)) < SPREAD_IS_CHANCE

    def p_low(self, runs: Sequence[ItemCounts], *, strict: bool = False) -> float:
        """Return the probability of so few correct answers or fewer, were nothing changed.

        Args:
            runs: measurements of tonight; of the same items in the same order.
            strict: whether the nights' own spread counts in any case, and not only where it
                clearly is more than the items explain.
        """
        correct = int(sum(int(run.correct.sum()) for run in runs))
        p = float(self.distribution(len(runs) * self.passes)[: correct + 1].sum())
        if self.nights < NIGHTS_FOR_PRIOR:
            p = max(p, self._p_exact(runs))
        if self.nights + len(runs) > NIGHTS_FOR_SPREAD and (strict or self.varies_more):
            p = max(p, self._p_of_totals(runs))
        return min(p, 1.0)

    def p_high(self, runs: Sequence[ItemCounts]) -> float:
        """Return the probability of so many correct answers or more, were nothing changed.

        The answers of tonight are among them: where all are right most nights, that is no gain.

        Args:
            runs: measurements of tonight; of the same items in the same order.
        """
        correct = int(sum(int(run.correct.sum()) for run in runs))
        p = float(self.distribution(len(runs) * self.passes)[correct:].sum())
        if self.nights + len(runs) > NIGHTS_FOR_SPREAD and self.varies_more:
            p = max(p, 1 - self._p_of_totals(runs))
        return min(p, 1.0)

    def _p_exact(self, runs: Sequence[ItemCounts]) -> float:
        """Return the probability of so few correct answers, given all answers to each item.

        Were nothing changed, each of an item's answers is as likely one of tonight's as one of the
        nights before: a hypergeometric distribution, whatever the item's chance is. The sum over
        the items is the exact conditional test of C. R. Mehta, N. R. Patel, R. Gray, J. Am. Stat.
        Assoc. 80 (1985), 969-973; of one night and one run it is McNemar's exact test, one-sided.
        """
        correct = np.sum([run.correct for run in runs], axis=0)
        asked, before = len(runs) * self.passes, self._trials
        totals, numbers = np.unique(self._correct + correct, return_counts=True)
        right = np.arange(asked + 1)
        chances = []
        for total in totals:
            ways = special.binom(total, right) * special.binom(
                asked + before - total, asked - right
            )
            chances.append(ways / ways.sum())
        spread = _sum_of(chances, numbers)
        return min(float(spread[: int(correct.sum()) + 1].sum()), 1.0)

    def _p_of_totals(self, runs: Sequence[ItemCounts]) -> float:
        """Compare the means by the spread of the nights' and runs' totals (Student's t)."""
        tonight = np.array([run.correct.sum() / run.passes for run in runs])
        groups = [self._totals, tonight]
        squares = sum(float(np.sum((group - group.mean()) ** 2)) for group in groups)
        df = sum(len(group) - 1 for group in groups)
        variance = squares / df if df else 0.0
        # Too few nights may happen to be alike.
        variance = max(variance, 0.5 / self.passes)
        se = (variance * (1 / len(runs) + 1 / self.nights)) ** 0.5
        return p_of_t((tonight.mean() - self._totals.mean()) / se, df)

    def distribution(self, passes: int) -> NDArray[np.float64]:
        """Return the probability of each number of correct answers in so many passes."""
        if passes not in self._distributions:
            self._distributions[passes] = self._convolved(passes)
        return self._distributions[passes]

    @functools.cached_property
    def _distributions(self) -> dict[int, NDArray[np.float64]]:
        return {}

    def lowest(self, alpha: float, runs: int = 1) -> float:
        """Return the lowest accuracy, in percent, whose probability is alpha or more."""
        passes = runs * self.passes
        reached = np.cumsum(self.distribution(passes))
        percent = 100 * float(np.searchsorted(reached, alpha)) / (self.items * passes)
        if self.nights < NIGHTS_FOR_PRIOR:
            # So many answers have to be lost, where none is won.
            lost = math.floor(math.log(1 / alpha) / math.log(self.nights + 1))
            percent = min(percent, self.percent - 100 * lost / (self.items * passes))
        return max(percent, 0.0)

    @functools.cached_property
    def prior(self) -> tuple[float, float]:
        """Fit a beta distribution to the shares of correct answers of the items, by moments."""
        trials = self._trials
        total = self.items * trials
        mean = (float(self._correct.sum()) + 0.5) / (total + 1)
        between = 0.5  # cannot be told from one trial per item
        if trials > 1 and self.items > 1:
            variance = float(np.var(self._correct / trials, ddof=1))
            between = (variance / (mean * (1 - mean)) - 1 / trials) / (1 - 1 / trials)
        between = min(max(between, LEAST_BETWEEN), MOST_BETWEEN)
        weight = 1 / between - 1
        return mean * weight, (1 - mean) * weight

    def _convolved(self, passes: int) -> NDArray[np.float64]:
        a, b = self.prior
        counts, numbers = np.unique(self._correct, return_counts=True)
        rights, wrongs = a + counts, b + self._trials - counts
        successes = np.arange(passes + 1)
        log_ways = special.gammaln(passes + 1) - (
            special.gammaln(successes + 1) + special.gammaln(passes - successes + 1)
        )
        chances = [
            np.exp(
                log_ways
                + special.betaln(successes + right, passes - successes + wrong)
                - special.betaln(right, wrong)
            )
            for right, wrong in zip(rights, wrongs, strict=True)
        ]
        return _sum_of(chances, numbers)


def _sum_of(
    chances: Sequence[NDArray[np.float64]], items: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the probability of each number of correct answers of all items together.

    Args:
        chances: of each kind of item, the probability of each number of correct answers.
        items: number of items of each kind.
    """
    size = int(items.sum()) * (len(chances[0]) - 1) + 1
    first, length = _window(chances, items)
    transform = np.zeros(length // 2 + 1, dtype=complex)
    successes = np.arange(len(chances[0])) % length
    for each, number in zip(chances, items, strict=True):
        folded = np.bincount(successes, each, length)
        transform += number * np.log(np.fft.rfft(folded) + 1e-300)
    # The transform has each number of answers modulo its length: only one of them is possible.
    window = np.roll(np.fft.irfft(np.exp(transform), length), -(first % length))
    spread = np.zeros(max(size, first + length))
    spread[first : first + length] = np.clip(window, 0, None)
    return spread[:size]


def _window(chances: Sequence[NDArray[np.float64]], items: NDArray[np.int64]) -> tuple[int, int]:
    """Return the first number of correct answers that is possible, and how many are.

    Further than twelve standard deviations from the mean, and a few answers, nothing is.

    Args:
        chances: as of `_sum_of`.
        items: as there.
    """
    passes = len(chances[0]) - 1
    successes = np.arange(passes + 1)
    means = np.array([each @ successes for each in chances])
    variances = np.array([each @ successes**2 for each in chances]) - means**2
    mean, sd = float(items @ means), float(items @ np.clip(variances, 0, None)) ** 0.5
    most = int(items.sum()) * passes
    reach = FAR_FROM_MEAN * sd + 8 * passes
    first, last = max(int(mean - reach), 0), min(int(mean + reach) + 1, most)
    length = 1 << (last - first).bit_length()
    return max(min(first, most + 1 - length), 0), length
