"""Draw searches of a first bad point, to say how many nights one takes and how often it is right.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ci.judge.bisection import Figures, Stage, Wanted, standing
from ci.judge.flips import assumed, offset_of
from ci.judge.night_noise import Noise

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ci.judge.bisection import Standing

LEVEL = 460.0
# Searches that are drawn for a plan.
SEARCHES = 25
SEED = 1
PERCENT = 100.0
# Items of a score of 80 %, most of which are nearly always right or wrong: parameters of a beta
# distribution.
EASY = (0.8, 0.2)


@dataclass(frozen=True)
class Drawn:
    """Searches that are drawn, on a scale in percent or points.

    Attributes:
        points: number of points, both ends included.
        drop: from the first bad point on.
        noise: standard deviation of the runs.
        certainty: of the answer.
        night: standard deviation of the nights, besides that of the runs; all runs of a night have
            the same.
        runs: number of runs of a night.
        accidents: share of nights that are slow by up to 10.
        matters: the smallest loss that makes a point bad.
        assumed: the noise that is assumed before the first night.
        nights: the largest number of nights.
        step: the first bad point: any, or the second or the last one of all.
        items: number of items of a score of 80 %, whose answers are drawn; the noise of a run is
            what comes of that. 0 for a figure without items.
        flips: share of the items that each point answers differently, besides the drop.
    """

    points: int
    drop: float
    noise: float
    certainty: float = 0.95
    night: float = 0.0
    runs: int = 3
    accidents: float = 0.0
    matters: float = 1.0
    assumed: float = 2.0
    nights: int = 60
    step: Literal["any", "first", "last"] = "any"
    items: int = 0
    flips: float = 0.0


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
    first = first_of(drawn, random)
    nights: list[list[tuple[float, ...]]] = [[] for _ in range(drawn.points)]
    noise, wanted = Noise(drawn.assumed), Wanted(drawn.certainty, drawn.nights)
    score = _Score(drawn, random, first) if drawn.items else None
    while True:
        noise = score.noise() if score else noise
        known = standing(Figures(tuple(map(tuple, nights)), noise, drawn.matters), wanted)
        if known.next is None:
            return Ended(known, first, sum(map(len, nights)))
        at = known.next
        nights[at].append(score.night(at) if score else night_of(drawn, random, is_bad=at >= first))


class _Score:
    """A score whose answers are drawn."""

    def __init__(self, drawn: Drawn, random: np.random.Generator, first: int) -> None:
        self._drawn, self._random = drawn, random
        easy = random.beta(*EASY, drawn.items)
        worse = random.choice(drawn.items, round(drawn.drop / PERCENT * drawn.items), replace=False)
        # Items that become wrong were right before: the drop is exactly that.
        easy[worse] = 1.0
        self._right = np.tile(easy, (drawn.points, 1))
        self._right[first:, worse] = 0.0
        for point in self._right:
            others = random.choice(drawn.items, round(drawn.flips * drawn.items), replace=False)
            point[others] = random.beta(*EASY, len(others))
        self._answers: list[list[NDArray[np.float64]]] = [[] for _ in range(drawn.points)]

    def night(self, at: int) -> tuple[float, ...]:
        """Draw the scores of the runs of a night."""
        shift = self._random.normal(0, self._drawn.night / PERCENT)
        right = np.clip(self._right[at] + shift, 0, 1)
        runs = self._random.random((self._drawn.runs, self._drawn.items)) < right
        self._answers[at].append(runs.mean(axis=0))
        return tuple(map(float, PERCENT * runs.mean(axis=1)))

    def noise(self) -> Noise:
        """Return what is known of the noise."""
        guess = assumed(0.8, self._drawn.items)
        offset = offset_of(self._answers)
        return Noise(guess, floor=0.05, offset=guess if offset is None else offset)


def first_of(drawn: Drawn, random: np.random.Generator) -> int:
    """Draw the first bad point."""
    any_ = int(random.integers(1, drawn.points))
    return {"any": any_, "first": 1, "last": drawn.points - 1}[drawn.step]


def night_of(drawn: Drawn, random: np.random.Generator, *, is_bad: bool) -> tuple[float, ...]:
    """Draw the figures of the runs of a night, at their places on the scale."""
    slow = 10 * random.random() if random.random() < drawn.accidents else 0.0
    level = LEVEL - drawn.drop * is_bad + random.normal(0, drawn.night) - slow
    return tuple(map(float, level + random.normal(0, drawn.noise, drawn.runs)))


def draw(drawn: Drawn, searches: int = SEARCHES) -> tuple[int, int, int]:
    """Return the number of nights: exceeded by 9 of 10 searches, by half, and by 1 of 10."""
    numbers = [draw_one(drawn, SEED + each).nights for each in range(searches)]
    low, middle, high = np.quantile(numbers, (0.1, 0.5, 0.9), method="nearest")
    return int(low), int(middle), int(high)
