"""Put figures on a scale where more is better, and noise does not depend on the level. Pure.

Throughput and latency are products of many factors, and their noise is a share of their level: they
are compared by logarithm, in percent. Latency has its sign turned. Accuracy stays in points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.judge.measured import Kind

# The exponential of more is no float any more: a bound of few nights may be as far as that.
MOST = 700.0


@dataclass(frozen=True)
class Scale:
    """The scale of a metric.

    Attributes:
        kind: accuracy, or performance.
        lower_is_better: whether a smaller figure is a better one, as with latencies.
    """

    kind: Kind
    lower_is_better: bool = False

    @property
    def floor(self) -> float:
        """Return the smallest spread of nights that is believed: 0.15 %, or 0.05 points.

        Figures that never differ are rounded, or too few to show what a night does.
        """
        return 0.05 if self.kind == "accuracy" else 0.15

    @property
    def matters(self) -> float:
        """Return the smallest loss that is worth a second look: 1 %, or half a point."""
        return 0.5 if self.kind == "accuracy" else 1.0

    @property
    def between_hosts(self) -> float:
        """Return how much levels of healthy hosts differ at least: 2 % for performance.

        Two groups of equal machines, 2 % apart, are usual in published series.
        """
        return 0.0 if self.kind == "accuracy" else 2.0

    def place(self, value: float) -> float:
        """Return a figure's place on this scale; more is better.

        Raises:
            ValueError: a figure of performance is not positive.
        """
        if self.kind == "accuracy":
            return -value if self.lower_is_better else value
        logarithm = 100 * math.log(value)
        return -logarithm if self.lower_is_better else logarithm

    def value(self, place: float) -> float:
        """Return the figure at a place of the scale: the inverse of `place`."""
        turned = -place if self.lower_is_better else place
        return turned if self.kind == "accuracy" else math.exp(min(turned / 100, MOST))
