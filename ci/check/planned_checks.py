"""Describe the checks of a case before any night, from its file and the project's lists."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.case.known_metrics import STARTUP
from ci.catalog import dataset_sizes
from ci.check.benchmark_rules import MIN_BASELINE
from ci.judge.asked import asked_in, asked_of, bound_of
from ci.judge.metrics import kind_of, title_of
from ci.judge.passes import passes_of
from ci.judge.planned import ACCURACY, NOISE, WITHIN, PlannedCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case
    from ci.judge.asked import Asked
    from ci.judge.measured import RunNoise

# Decimals of the accuracy that a tool prints; the others print all.
DECIMALS = {"aisbench": 2}
# Why nothing can be said before any night.
NO_ITEMS = "the number of its items is unknown, so that nothing can be said"
NO_NOISE = "a count, a share or a figure around 0: only nights tell its noise, four at least"
ONE_START = "a start is not measured again: from the fifth night on, one look decides"


@dataclass(frozen=True)
class Assumptions:
    """What a case file does not tell.

    Attributes:
        noise: standard deviation of a run of performance, in percent.
        within: share of the variance of one pass of accuracy that is within items.
        passes: how often a night asks each item, or runs a performance benchmark; None for the
            number of the case.
        noises: name of a benchmark → the noise of its single passes, in percent; from history.
    """

    noise: float = NOISE
    within: float = WITHIN
    passes: int | None = None
    noises: Mapping[str, RunNoise] = field(default_factory=dict)


@dataclass(frozen=True)
class Planned:
    """A figure that a case wants judged, before any night.

    Attributes:
        asked: the figure.
        check: what is known of it.
        unknown: why nothing can be said of it; empty if something can.
    """

    asked: Asked
    check: PlannedCheck
    unknown: str = ""

    @property
    def name(self) -> str:
        """Return the benchmark's name; of a further figure, followed by its metric."""
        return title_of(self.asked.name, self.asked.metric)


def planned_checks(case: Case, assumed: Assumptions) -> list[Planned]:
    """Describe all figures that a case wants judged."""
    found = []
    for benchmark in case.benchmarks:
        main, *further = asked_of(benchmark)
        check = planned_check(benchmark, assumed)
        items = check.kind == "performance" or check.items > 0
        found.append(Planned(main, check, "" if items else NO_ITEMS))
        found += [_further(asked, assumed, check.passes) for asked in further]
    return found + [_further(asked, assumed, 1) for asked in asked_in((), case.startup)]


def planned_check(benchmark: Benchmark, assumed: Assumptions) -> PlannedCheck:
    """Describe the check of a benchmark's figure.

    Without a baseline it has no bound, and an accuracy of 80 % is assumed. A baseline that every
    server reaches is a bound of 0.
    """
    accuracy = benchmark.case_type == "accuracy"
    expected = benchmark.expected
    baseline = expected[0] if expected else ACCURACY if accuracy else 1.0
    bound = bound_of(benchmark.case_type, *expected) if expected else None
    if not accuracy and expected and baseline <= MIN_BASELINE:
        bound = 0.0
    noise = None if accuracy else assumed.noises.get(benchmark.name)
    items = dataset_sizes.asked(benchmark)
    passes = assumed.passes or passes_of(benchmark, items).number
    return PlannedCheck(
        kind=benchmark.case_type,
        baseline=baseline,
        bound=bound,
        items=items if accuracy else 0,
        passes=passes,
        within=assumed.within,
        noise=noise.sd if noise else assumed.noise,
        known=replace(noise, sd=noise.sd / math.sqrt(passes)) if noise else None,
        decimals=DECIMALS.get(benchmark.tool),
    )


def _further(asked: Asked, assumed: Assumptions, passes: int) -> Planned:
    """Describe a figure that is not the main one of its benchmark.

    Its noise is taken as that of throughput. Of counts and shares, only nights tell the noise; and
    a start is not measured again, so that nobody draws it.
    """
    kind, expected = kind_of(asked.metric), asked.expected
    baseline = expected[0] if expected and expected[0] else 1.0
    factor = asked.bound / baseline if expected and asked.bound is not None else None
    if factor and asked.lower_is_better:
        factor = 1 / factor
    check = PlannedCheck(
        kind=kind,
        baseline=baseline,
        bound=None if factor is None else baseline * factor,
        passes=passes,
        noise=assumed.noise,
        unit=asked.unit,
        lower_is_better=asked.lower_is_better,
    )
    unknown = ONE_START if asked.name == STARTUP else ""
    if kind != "performance" or (expected and not expected[0]):
        unknown = NO_NOISE
    return Planned(asked, check, unknown)
