"""Choose how often a night asks a benchmark with `repeats: auto`. Pure.

The number follows from the case and the number of items alone: neither the history nor the baseline
changes it, so that the nights of a case stay comparable.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ci.case.repeats import Passes
from ci.tools.sampling import is_greedy

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark

# Answers with which the judge finds a loss of 5 points in 9 of 10 nights, of a model that answers
# half of the items and whose variance is half within items: the most that are needed, 400 do for a
# model that answers 80 %. They grow with z² w p (1 - p) / d², in which z depends on the judge; it
# was drawn with `ci.judge.power`, 1,000 nights each of 32 items × 16 passes to 540 × 1.
ANSWERS = 540
MOST = 16
# Three runs of a night tell their noise after three nights, and halve its share in a figure.
OF_PERFORMANCE = 3
GREEDY = (
    "`repeats: auto` is 1 pass, because at temperature 0 all passes have the same answers, but for "
    "rounding; give the temperature of the model, or a number of passes"
)
UNKNOWN = (
    "`repeats: auto` is 1 pass, because the number of items is unknown; write num_prompts, or a "
    "number of passes"
)


def passes_of(benchmark: Benchmark, items: int) -> Passes:
    """Return how often a night asks a benchmark.

    Args:
        benchmark: the case's entry.
        items: number of items of a pass; 0 if unknown.
    """
    if benchmark.passes is not None:
        return Passes(benchmark.passes)
    if benchmark.case_type == "performance":
        return Passes(OF_PERFORMANCE, auto=True)
    if is_greedy(benchmark):
        return Passes(auto=True, doubt=GREEDY)
    if items < 1:
        return Passes(auto=True, doubt=UNKNOWN)
    return Passes(min(math.ceil(ANSWERS / items), MOST), auto=True)
