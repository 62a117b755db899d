"""Say what a month of nights would cry wrongly and find: with the bands, and the judge. Pure."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.case.judging import NIGHTS_A_MONTH
from ci.judge import band
from ci.judge.decide import Levels
from ci.judge.measured import RunNoise
from ci.judge.planned import NOISE
from ci.judge.power import Draw, power
from ci.judge.prospect import DROPS, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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
        red_nights: share of healthy nights, in which all checks run, with at least one of them,
            were they independent.
        found: loss → share of nights that find it, on average over the checks that are judged.
        unknown: expected number of checks that stay unknown, a month.
        runs: further measurements a night, of all checks.
    """

    false_alarms: float
    red_nights: float
    found: Mapping[float, float]
    unknown: float = 0.0
    runs: float = 0.0


@dataclass(frozen=True)
class MonthlyCheck:
    """A check of a month, and how its case judges it.

    Attributes:
        check: before any night.
        nights: number of its nights a month.
        levels: the probabilities that decide.
        control: whether the last good version is measured beside a suspect.
        before: those that decide while the noise of a run is not known; None for the same.
    """

    check: PlannedCheck
    nights: int = NIGHTS_A_MONTH
    levels: Levels = field(default_factory=Levels)
    control: bool = False
    before: Levels | None = None

    @property
    def present(self) -> Levels:
        """Return the levels that decide by what is known of the noise."""
        return self.levels if self.before is None or self.check.knows_noise else self.before


def by_bands(checks: Sequence[MonthlyCheck]) -> Month:
    """Judge a month by the bands as they are written; exact.

    Args:
        checks: of a night; those without a band fail never, and find nothing.
    """
    counted = Counter(checks)
    found = {
        check: {loss: band.fails(check, loss) for loss in (HEALTHY, *DROPS)}
        for check in {each.check for each in counted}
    }
    return _month(counted, {each: found[each.check] for each in counted})


def by_judge(
    checks: Sequence[MonthlyCheck],
    *,
    known_noise: bool = False,
    seed: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> Month:
    """Judge a month in two stages, after ten nights; nights are drawn.

    Args:
        checks: of a night; of accuracy with a known number of items.
        known_noise: whether the noise of repeated runs of performance is known, as it is after a
            few nights with repeated runs; before that, the judge takes it from ten nights, and
            errs more often.
        seed: of the random numbers.
        on_progress: called with the number of kinds of checks that are done, and of all.
    """
    counted = Counter(
        replace(each, check=_kind_of(each.check, known_noise=known_noise)) for each in checks
    )
    drawn: dict[MonthlyCheck, dict[float, Power]] = {}
    for each in counted:
        drawn[each] = _drawn(each.check, each.present, seed, control=each.control)
        on_progress(len(drawn), len(counted))
    rates = {each: {loss: one.fails for loss, one in by.items()} for each, by in drawn.items()}
    healthy = {each: by[HEALTHY] for each, by in drawn.items()}
    return replace(
        _month(counted, rates),
        unknown=sum(
            number * each.nights * healthy[each].unknown for each, number in counted.items()
        ),
        runs=sum(number * healthy[each].runs for each, number in counted.items()),
    )


def _month(
    counted: Counter[MonthlyCheck], rates: Mapping[MonthlyCheck, Mapping[float, float]]
) -> Month:
    total = counted.total() or 1
    passes, alarms = 1.0, 0.0
    for each, number in counted.items():
        passes *= (1 - rates[each][HEALTHY]) ** number
        alarms += number * each.nights * rates[each][HEALTHY]
    found = {
        loss: sum(number * rates[each][loss] for each, number in counted.items()) / total
        for loss in DROPS
    }
    return Month(alarms, 1 - passes, found)


def _kind_of(check: PlannedCheck, *, known_noise: bool) -> PlannedCheck:
    """Return a check that is drawn for all of its kind: what the judge does hardly differs."""
    if check.kind == "performance":
        known = check.known or (RunNoise(check.sd, KNOWN_DF) if known_noise else None)
        plain = replace(check, baseline=1.0, bound=None, unit="", lower_is_better=False)
        return replace(plain, items=0, known=known, decimals=None)
    baseline = min(STEP * round(check.baseline / STEP), 100 - STEP / 2)
    return replace(check, baseline=baseline, bound=None, noise=NOISE, known=None, decimals=None)


@functools.lru_cache(256)
def _drawn(check: PlannedCheck, levels: Levels, seed: int, *, control: bool) -> dict[float, Power]:
    accuracy = check.kind == "accuracy"
    healthy = Draw(250 if accuracy else 6000, 8, seed, control)
    bad = Draw(80 if accuracy else 400, 1, seed, control)
    draws = {HEALTHY: healthy, **dict.fromkeys(DROPS, bad)}
    return {loss: power(check, loss, levels, draw) for loss, draw in draws.items()}
