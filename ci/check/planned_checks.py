"""Describe the checks of a case before any night, from its file and the project's lists."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.catalog import dataset_sizes
from ci.check.benchmark_rules import MIN_BASELINE
from ci.judge.passes import passes_of
from ci.judge.planned import ACCURACY, NOISE, WITHIN, PlannedCheck
from ci.judge.verdict import bound_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.benchmark import Benchmark
    from ci.judge.measured import RunNoise

# Decimals of the accuracy that a tool prints; the others print all.
DECIMALS = {"aisbench": 2}


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
