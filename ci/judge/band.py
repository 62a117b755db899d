"""Say how often a fixed band fails, exactly: baseline and threshold as case files have them. Pure.

A band knows nothing of past nights: it is the rule of `ci.judge.verdict`. What it does depends on
the number of items, or on the noise of runs, and on nothing else.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import special

from ci.judge.planned import PlannedCheck, chances
from ci.judge.verdict import EPSILON

# A band that fails more healthy nights than that is too narrow. One that passes more nights with a
# loss of ten points or percent is too wide: a band of just ten passes every second one, more or
# less.
TOO_NARROW, TOO_WIDE = 0.05, 0.45
LARGE_LOSS = 10.0
# Groups of items of almost one chance, that many items are put into.
_GROUPS = 200


def need(check: PlannedCheck) -> int:
    """Return the fewest correct answers that pass; one more than there are if none do.

    Args:
        check: of accuracy, with a bound and a known number of items.
    """
    bound = check.bound or 0.0
    first = max(math.floor(bound * check.trials / 100) - 1, 0)
    for correct in range(first, check.trials + 1):
        value = check.percent(correct)
        if value >= bound or math.isclose(value, bound, rel_tol=EPSILON, abs_tol=EPSILON):
            return correct
    return check.trials + 1


def fault(check: PlannedCheck) -> Literal["", "never fails", "too narrow", "too wide"]:
    """Say what is wrong with a band; empty if nothing is, or if there is none.

    A band of accuracy never fails if a single correct answer passes: with none at all, the run is
    broken and not the model worse.

    Args:
        check: of accuracy with a known number of items.
    """
    if check.bound is None:
        return ""
    if check.bound <= 0 or (check.kind == "accuracy" and need(check) <= 1):
        return "never fails"
    if fails(check) > TOO_NARROW:
        return "too narrow"
    return "too wide" if 1 - fails(check, LARGE_LOSS) > TOO_WIDE else ""


def fails(check: PlannedCheck, drop: float = 0.0, *, independent: bool = True) -> float:
    """Return the share of nights that a band fails.

    Accuracy is an exact binomial distribution, with each answer drawn again (C. Clopper and
    E. Pearson, Biometrika 26 (1934), 404-413). A figure of performance is log-normal around its
    baseline.

    Args:
        check: with a bound; of accuracy also with a known number of items.
        drop: by which the model is worse, in points or percent.
        independent: whether each answer is drawn again; else hard items stay hard, as `within`
            says, and the nights differ less. Of accuracy only.
    """
    if check.bound is None or check.bound <= 0:
        return 0.0
    if check.kind == "performance":
        level = check.baseline * (1 - drop / 100)
        distance = math.log(check.bound / level) if level > 0 else math.inf
        return float(special.ndtr(100 * distance / check.sd))
    most = need(check) - 1
    if most < 0:
        return 0.0
    if independent:
        return float(special.bdtr(most, check.trials, check.share(drop)))
    return at_most(check, most, drop)


def at_most(check: PlannedCheck, correct: int, drop: float = 0.0) -> float:
    """Return the probability of so many correct answers or fewer, were hard items always hard.

    It is the sum of binomial distributions of different chances, by their characteristic function
    (Y. Hong, Comput. Stat. Data Anal. 59 (2013), 41-51).

    Args:
        check: of accuracy, with a known number of items.
        correct: number of correct answers.
        drop: by which the model is worse, in points.
    """
    length = 1 << check.trials.bit_length()
    turns = np.exp(-2j * np.pi * np.arange(length // 2 + 1) / length)
    transform = np.zeros(len(turns), dtype=complex)
    for group in np.array_split(chances(check, drop), min(check.items, _GROUPS)):
        right = group.mean()
        transform += len(group) * np.log(1 - right + right * turns + 1e-300)
    spread = np.fft.irfft(np.exp(check.passes * transform), length)
    return min(max(float(spread[: correct + 1].sum()), 0.0), 1.0)
