"""Say what a month of nights would cry wrongly and find: with the bands, and the judge. Pure."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.judge import band
from ci.judge.measured import RunNoise
from ci.judge.planned import NOISE
from ci.judge.power import Draw, power
from ci.judge.prospect import DROPS, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.judge.decide import Levels
    from ci.judge.planned import PlannedCheck
    from ci.judge.power import Power

# Checks whose baselines are in the same step of so many points are drawn as one.
STEP = 2.0
# What ten nights with three runs each say about the noise of runs: A/A nights, or repeated ones.
KNOWN_DF = 20


@dataclass(frozen=True)
class Month:
    """What a month of nights does, with one way to judge.

    Attributes:
        false_alarms: expected number of failed checks of healthy nights, a month.
        red_nights: share of healthy nights with at least one of them, were they independent.
        found: loss → share of nights that find it, on average over the checks that are judged.
        unknown: expected number of checks that stay unknown, a month.
        runs: further measurements a night, of all checks.
    """

    false_alarms: float
    red_nights: float
    found: Mapping[float, float]
    unknown: float = 0.0
    runs: float = 0.0


def by_bands(checks: Sequence[PlannedCheck], nights: int) -> Month:
    """Judge a month by the bands as they are written; exact.

    Args:
        checks: of a night; those without a band fail never, and find nothing.
        nights: number of nights a month.
    """
    counted = Counter(checks)
    rates = {
        check: {loss: band.fails(check, loss) for loss in (HEALTHY, *DROPS)} for check in counted
    }
    return _month(counted, rates, nights)


@dataclass(frozen=True)
class TwoStages:
    """How the judge of two stages rules.

    Attributes:
        levels: the probabilities that decide.
        known_noise: whether the noise of repeated runs of performance is known, as it is after a
            few nights with repeated runs; before that, the judge takes it from ten nights, and
            errs more often.
        seed: of the random numbers.
    """

    levels: Levels
    known_noise: bool = False
    seed: int = 1


def by_judge(
    checks: Sequence[PlannedCheck],
    nights: int,
    judge: TwoStages,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Month:
    """Judge a month in two stages, after ten nights; nights are drawn.

    Args:
        checks: of a night; of accuracy with a known number of items.
        nights: number of nights a month.
        judge: how it rules.
        on_progress: called with the number of kinds of checks that are done, and of all.
    """
    counted = Counter(_kind_of(check, judge) for check in checks)
    drawn: dict[PlannedCheck, dict[float, Power]] = {}
    for check in counted:
        drawn[check] = _drawn(check, judge.levels, judge.seed)
        on_progress(len(drawn), len(counted))
    rates = {check: {loss: each.fails for loss, each in by.items()} for check, by in drawn.items()}
    healthy = {check: by[HEALTHY] for check, by in drawn.items()}
    return replace(
        _month(counted, rates, nights),
        unknown=nights * sum(number * healthy[check].unknown for check, number in counted.items()),
        runs=sum(number * healthy[check].runs for check, number in counted.items()),
    )


def _month(
    counted: Counter[PlannedCheck],
    rates: Mapping[PlannedCheck, Mapping[float, float]],
    nights: int,
) -> Month:
    total = counted.total() or 1
    passes = 1.0
    for check, number in counted.items():
        passes *= (1 - rates[check][HEALTHY]) ** number
    mean = {
        loss: sum(number * rates[check][loss] for check, number in counted.items()) / total
        for loss in (HEALTHY, *DROPS)
    }
    found = {loss: mean[loss] for loss in DROPS}
    return Month(nights * total * mean[HEALTHY], 1 - passes, found)


def _kind_of(check: PlannedCheck, judge: TwoStages) -> PlannedCheck:
    """Return a check that is drawn for all of its kind: what the judge does hardly differs."""
    if check.kind == "performance":
        known = check.known or (RunNoise(check.sd, KNOWN_DF) if judge.known_noise else None)
        plain = replace(check, baseline=1.0, bound=None, unit="", lower_is_better=False)
        return replace(plain, items=0, known=known, decimals=None)
    baseline = min(STEP * round(check.baseline / STEP), 100 - STEP / 2)
    return replace(check, baseline=baseline, bound=None, noise=NOISE, known=None, decimals=None)


@functools.lru_cache(256)
def _drawn(check: PlannedCheck, levels: Levels, seed: int) -> dict[float, Power]:
    accuracy = check.kind == "accuracy"
    healthy = Draw(250, 8, seed) if accuracy else Draw(6000, 8, seed)
    bad = Draw(80 if accuracy else 400, 1, seed)
    draws = {HEALTHY: healthy, **dict.fromkeys(DROPS, bad)}
    return {loss: power(check, loss, levels, draw) for loss, draw in draws.items()}
