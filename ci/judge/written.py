"""Hold a figure against a written baseline, where there is no history yet. Pure.

A baseline in a file is one number: it does not say how much healthy nights differ. Accuracy has a
distribution all the same, that of its items; a figure of performance has none, so that it fails
only if it was measured again, and stays below the bound each time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from ci.judge.decide import TIMES, Levels, Ruling, wanted_of
from ci.judge.measured import Ask, Measured, Wanted

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from ci.judge.scale import Scale


@dataclass(frozen=True)
class Written:
    """A written baseline, and the figure that is still as good.

    Attributes:
        value: the baseline.
        bound: a figure that is not worse than it passes; None if the test alone decides.
        scale: of the metric.
    """

    value: float
    bound: float | None
    scale: Scale

    @property
    def nights(self) -> int:
        """Return how many nights are behind it: none is known."""
        return 0

    def is_within(self, tonight: Measured, value: float, level: float) -> bool:
        """Whether a figure is not worse than the bound; without one, than chance explains.

        Args:
            tonight: the measurement.
            value: the figure, which may be the mean of several measurements.
            level: the least probability that chance explains.
        """
        if self.bound is None:
            return self.p_low([replace(tonight, value=value)]) >= level
        # Binary floats cannot hold the decimals that bounds are computed from.
        slack = 1e-9 * max(abs(self.bound), 1.0)
        if self.scale.lower_is_better:
            return value <= self.bound + slack
        return value >= self.bound - slack

    def is_above(self, tonight: Measured) -> bool:
        """Whether a figure is better than the baseline by more than it may be worse."""
        if self.bound is None or (self.scale.kind != "accuracy" and self.bound <= 0):
            return False
        tolerated = abs(self.scale.place(self.value) - self.scale.place(self.bound))
        return self.loss([tonight]) < -tolerated - 1e-9

    def takes(self, run: Measured) -> bool:  # noqa: ARG002 - its figure is enough
        """Whether a measurement can be compared: each one."""
        return True

    def p_low(self, runs: Sequence[Measured], *, strict: bool = False) -> float:  # noqa: ARG002
        """Return the probability of so few correct answers were the baseline the truth.

        The exact binomial test. Runs and passes of the same items repeat their luck, so that
        several of them count as one of their mean. Without a number of items, 1.
        """
        n = _items_of(runs[0])
        if self.scale.kind != "accuracy" or n <= 0 or self.scale.lower_is_better:
            return 1.0
        mean = float(np.mean([run.value for run in runs]))
        correct = int(np.floor(mean * n / 100 + 1e-6))
        return float(special.bdtr(correct, n, min(max(self.value / 100, 0.0), 1.0)))

    def p_high(self, runs: Sequence[Measured]) -> float:
        """Return the probability of so many correct answers or more; 1 without a test."""
        n = _items_of(runs[0])
        if self.scale.kind != "accuracy" or n <= 0 or self.scale.lower_is_better:
            return 1.0
        mean = float(np.mean([run.value for run in runs]))
        correct = int(np.ceil(mean * n / 100 - 1e-6))
        return float(special.bdtrc(correct - 1, n, min(max(self.value / 100, 0.0), 1.0)))

    def loss(self, runs: Sequence[Measured]) -> float:
        """Return how many points or percent lower the runs are."""
        mean = float(np.mean([self.scale.place(run.value) for run in runs]))
        return self.scale.place(self.value) - mean

    def centre(self, tonight: Measured) -> float:  # noqa: ARG002 - it is written
        """Return the baseline."""
        return self.value

    def p_against(
        self, runs: Sequence[Measured], controls: Sequence[Measured], *, changed: bool
    ) -> float:
        """Never asked: without nights there is no last good version to compare with."""
        raise NotImplementedError

    def lowest(self, alpha: float, tonight: Measured) -> float | None:
        """Return the lowest accuracy whose probability is alpha or more; None if unknown."""
        if self.scale.kind != "accuracy" or _items_of(tonight) <= 0 or self.scale.lower_is_better:
            return None
        n = _items_of(tonight)
        reached = special.bdtr(np.arange(n + 1), n, self.value / 100)
        return 100 * float(np.searchsorted(reached, alpha)) / n


def _items_of(measured: Measured) -> int:
    """Return the number of items, of which each pass has an answer."""
    return measured.n // measured.passes


def against_written(
    written: Written, tonight: Measured, levels: Levels
) -> Generator[Wanted, Measured | None, Ruling]:
    """Rule on a figure by a written baseline, asking for repeats where it is below the bound.

    Args:
        written: the baseline.
        tonight: the measurement.
        levels: the probabilities that decide.

    Yields:
        What is to be measured. Send the measurement; None if it cannot be had.

    Returns:
        The ruling.
    """
    if written.is_within(tonight, tonight.value, levels.suspect):
        return Ruling("pass", "as expected", None, written)
    ruling = Ruling("unknown", "suspect", written.p_low([tonight]), written)
    while (
        len(ruling.repeats) < TIMES and (again := (yield wanted_of(Ask.REPEAT, ruling))) is not None
    ):
        ruling = replace(ruling, repeats=(*ruling.repeats, again))
        if written.is_within(tonight, _summary(ruling.repeats, written.scale), levels.clear):
            return replace(ruling, outcome="pass", finding="fine when measured again")
    if written.scale.kind != "accuracy":
        ruling, worse = replace(ruling, p=None), len(ruling.repeats) == TIMES
    else:
        ruling = replace(ruling, p=written.p_low(ruling.repeats or [tonight]))
        worse = ruling.p is not None and ruling.p < levels.fail
    return replace(ruling, outcome="fail", finding="worse") if worse else ruling


def _summary(runs: Sequence[Measured], scale: Scale) -> float:
    """Return the mean of an accuracy, and the best of a performance: accidents make it worse."""
    values = [run.value for run in runs]
    if scale.kind == "accuracy":
        return float(np.mean(values))
    return min(values) if scale.lower_is_better else max(values)
