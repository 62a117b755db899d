"""Put figures on a scale where more is better, and noise does not depend on the level. Pure.

Throughput and latency are products of many factors, and their noise is a share of their level: they
are compared by logarithm, in percent. Latency has its sign turned. Accuracy stays in points, and so
do other shares, whose trials are unknown. Of a count of events, the noise grows with its root: the
root of F. J. Anscombe, Biometrika 35 (1948), 246-254, has a standard deviation of about 1 if events
come by chance, at 0 as elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.judge.measured import Kind

# The exponential of more is no float any more: a bound of few nights may be as far as that.
MOST = 700.0
# What 0 counts as where a logarithm needs more (the started logarithm of J. W. Tukey, Exploratory
# Data Analysis, 1977): a goodput in requests per second, or a phase of a start in seconds.
LEAST = 1e-3
_ANSCOMBE = 3 / 8
_FLOOR = {"accuracy": 0.05, "share": 0.05, "performance": 0.15, "count": 1.0}
_POINTS = frozenset({"accuracy", "share"})
_MATTERS = {"accuracy": 0.5, "share": 0.5, "performance": 1.0, "count": 1.0}


@dataclass(frozen=True)
class Scale:
    """The scale of a metric.

    Attributes:
        kind: accuracy, of items that are right or wrong; share, any other percentage; count, of
            events; performance, all else.
        lower_is_better: whether a smaller figure is a better one, as with latencies.
    """

    kind: Kind
    lower_is_better: bool = False

    @property
    def floor(self) -> float:
        """Return the smallest spread of nights that is believed: 0.15 %, or 0.05 points.

        Figures that never differ are rounded, or too few to show what a night does. A count has at
        least the spread of chance.
        """
        return _FLOOR[self.kind]

    @property
    def matters(self) -> float:
        """Return the smallest loss that is worth a second look: 1 %, or half a point.

        Of a count it is one spread of chance: an event where none is usual, 11 where 100 are.
        """
        return _MATTERS[self.kind]

    @property
    def between_hosts(self) -> float:
        """Return how much levels of healthy hosts differ at least: 2 % for performance.

        Two groups of equal machines, 2 % apart, are usual in published series.
        """
        return 2.0 if self.kind == "performance" else 0.0

    def place(self, value: float) -> float:
        """Return a figure's place on this scale; more is better.

        Raises:
            ValueError: a figure that is no percentage is negative.
        """
        if self.kind in _POINTS:
            place = value
        elif value < 0:
            raise ValueError(f"expected a figure of 0 or more, got {value}")
        elif self.kind == "count":
            place = 2 * math.sqrt(value + _ANSCOMBE)
        else:
            place = 100 * math.log(max(value, LEAST))
        return -place if self.lower_is_better else place

    def value(self, place: float) -> float:
        """Return the figure at a place of the scale: the inverse of `place`."""
        turned = -place if self.lower_is_better else place
        if self.kind in _POINTS:
            return turned
        if self.kind == "count":
            return max((max(turned, 0.0) / 2) ** 2 - _ANSCOMBE, 0.0)
        figure = math.exp(min(turned / 100, MOST))
        return figure if figure > LEAST else 0.0
