"""Draw searches of a first bad point, to say how many nights one takes and how often it is right.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.bisection import Figures, Stage, Wanted, standing
from ci.judge.first_bad import Noise

if TYPE_CHECKING:
    from ci.judge.bisection import Standing

LEVEL = 460.0
# Searches that are drawn for a plan.
SEARCHES = 25
SEED = 1


@dataclass(frozen=True)
class Drawn:
    """Searches that are drawn, on a scale in percent or points.

    Attributes:
        points: number of points, both ends included.
        drop: from the first bad point on.
        noise: standard deviation of the runs.
        certainty: of the answer.
        night: standard deviation of the nights, besides that of the runs.
        accidents: share of nights that are slow by up to 10.
        matters: the smallest loss that makes a point bad.
        assumed: the noise that is assumed before the first night.
        nights: the largest number of nights.
    """

    points: int
    drop: float
    noise: float
    certainty: float = 0.95
    night: float = 0.0
    accidents: float = 0.0
    matters: float = 1.0
    assumed: float = 2.0
    nights: int = 60


@dataclass(frozen=True)
class Ended:
    """A search that was drawn.

    Attributes:
        known: what it ended with.
        first: the first bad point.
        nights: number of nights.
    """

    known: Standing
    first: int
    nights: int

    @property
    def is_found(self) -> bool:
        """Whether it has an answer."""
        return self.known.stage is Stage.FOUND

    @property
    def is_right(self) -> bool:
        """Whether its answer is the first bad point."""
        return self.is_found and self.known.answer == (self.first, self.first)


def draw_one(drawn: Drawn, seed: int) -> Ended:
    """Draw the nights of one search until it ends.

    Args:
        drawn: the points and their noise.
        seed: of the random numbers, and of the first bad point.
    """
    random = np.random.default_rng(seed)
    first = int(random.integers(1, drawn.points))
    nights: list[list[float]] = [[] for _ in range(drawn.points)]
    noise, wanted = Noise(drawn.assumed), Wanted(drawn.certainty, drawn.nights)
    while True:
        known = standing(Figures(tuple(map(tuple, nights)), noise, drawn.matters), wanted)
        if known.next is None:
            return Ended(known, first, sum(map(len, nights)))
        nights[known.next].append(figure_of(drawn, random, is_bad=known.next >= first))


def figure_of(drawn: Drawn, random: np.random.Generator, *, is_bad: bool) -> float:
    """Draw the figure of a night, at its place on the scale."""
    slow = 10 * random.random() if random.random() < drawn.accidents else 0.0
    noise = random.normal(0, drawn.noise) + random.normal(0, drawn.night)
    return float(LEVEL - drawn.drop * is_bad + noise - slow)


def draw(drawn: Drawn, searches: int = SEARCHES) -> tuple[int, int, int]:
    """Return the number of nights: exceeded by 9 of 10 searches, by half, and by 1 of 10."""
    numbers = [draw_one(drawn, SEED + each).nights for each in range(searches)]
    low, middle, high = np.quantile(numbers, (0.1, 0.5, 0.9), method="nearest")
    return int(low), int(middle), int(high)
