"""Say what the two-stage judge would do before any night, by nights that are drawn. Pure.

The nights are drawn, and the judge itself rules on them: tonight's version, its repeated
measurements, and those of the last good version where a night measures it, after some healthy
nights.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.decide import answered, decide
from ci.judge.expected import Past
from ci.judge.measured import Ask, ItemCounts, Measured, RunNoise
from ci.judge.planned import chances
from ci.judge.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.judge.decide import Levels, Ruling
    from ci.judge.planned import PlannedCheck

# Healthy nights before the night that is judged.
PAST_NIGHTS = 10
# Nights that share one past: drawing it again for each would only cost time.
_SHARED = 8
# A share of which no night has been seen is below 3 / nights, with 95 % certainty (B. Jovanovic,
# P. Levy, Am. Stat. 51 (1997), 137-139).
RULE_OF_THREE = 3.0


@dataclass(frozen=True)
class Power:
    """What the judge did on nights that were drawn.

    Attributes:
        fails: share of nights that fail.
        unknown: share of nights that stay unknown.
        repeats: further measurements of tonight's version, per night.
        controls: those of the last good version, per night.
        nights: number of nights that were drawn; a suspicion counts as often as it was.
    """

    fails: float
    unknown: float
    repeats: float
    controls: float
    nights: int

    @property
    def runs(self) -> float:
        """Return the further measurements per night."""
        return self.repeats + self.controls

    @property
    def most_fails(self) -> float:
        """Return the share of failed nights; one that is hardly exceeded, where none was seen."""
        return self.fails or RULE_OF_THREE / self.nights


@dataclass(frozen=True)
class Draw:
    """How nights are drawn.

    Attributes:
        nights: their number.
        second: how often the second stage is drawn for each suspicion. Those of a healthy model are
            rare, and failures are rarer: what follows them is drawn again, to count it with less
            noise (splitting; H. Kahn, T. Harris, Natl. Bur. Stand. Appl. Math. Ser. 12 (1951),
            27-30).
        seed: of the random numbers; the same seed gives the same figures.
        control: whether the last good version is measured beside a suspect; without it, the judge
            is told that it cannot be had.
    """

    nights: int = 400
    second: int = 1
    seed: int = 1
    control: bool = True


def power(check: PlannedCheck, drop: float, levels: Levels, draw: Draw) -> Power:
    """Draw nights with a model that is worse, and count what the judge says.

    Args:
        check: of accuracy with a known number of items.
        drop: in points or percent; 0 for a healthy model.
        levels: the probabilities that decide.
        draw: how many nights.
    """
    random = np.random.default_rng(draw.seed)
    good, bad = _runs_of(check, 0.0, random), _runs_of(check, drop, random)
    known = _noise_of(check)

    def measure(asked: Ask) -> Measured | None:
        if asked is Ask.REPEAT:
            return bad()
        return good() if draw.control else None

    def ruled(past: Past, tonight: Measured) -> Ruling:
        deciding = decide(past, tonight, Scale(check.kind), levels, known)
        return answered(deciding, measure)

    past = Past(())
    counts = np.zeros(4)
    for night in range(draw.nights):
        if night % _SHARED == 0:
            past = Past.of([good() for _ in range(PAST_NIGHTS)])
        tonight = bad()
        rulings = [ruled(past, tonight)]
        if rulings[0].repeats:
            rulings += [ruled(past, tonight) for _ in range(1, draw.second)]
        counts += np.mean([_counted(ruling) for ruling in rulings], axis=0)
    fails, unknown, repeats, controls = map(float, counts / draw.nights)
    return Power(fails, unknown, repeats, controls, draw.nights * draw.second)


def _noise_of(check: PlannedCheck) -> RunNoise | None:
    """Return the noise that the judge knows after the past nights: their passes tell it."""
    if check.known or check.kind == "accuracy" or check.passes == 1:
        return check.known
    return RunNoise(check.sd, PAST_NIGHTS * (check.passes - 1))


def _counted(ruling: Ruling) -> tuple[int, int, int, int]:
    failed, unknown = ruling.outcome == "fail", ruling.outcome == "unknown"
    return failed, unknown, len(ruling.repeats), len(ruling.controls)


@functools.lru_cache(16)
def _ids(items: int) -> tuple[str, ...]:
    return tuple(map(str, range(items)))


def _runs_of(
    check: PlannedCheck, drop: float, random: np.random.Generator
) -> Callable[[], Measured]:
    """Return what measures a version that is worse by a drop."""
    if check.kind == "performance":
        level = math.log(max(1 - drop / 100, 1e-6))  # of the baseline: only shares of it count
        return lambda: Measured(math.exp(level + random.normal(0, check.sd / 100)))
    right, ids = chances(check, drop), _ids(check.items)

    def answered() -> Measured:
        if check.passes == 1:
            correct = (random.random(check.items) < right).astype(np.int64)
        else:
            correct = random.binomial(check.passes, right)
        counts = ItemCounts(ids, correct, check.passes)
        return Measured(check.percent(int(correct.sum())), check.items, counts)

    return answered
