"""Tell how a tool samples answers before it runs. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.tools import aisbench, evalscope, lm_eval, vllm_bench

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark


def temperature_of(benchmark: Benchmark) -> float:
    """Return the temperature of the requests: that of the case, else the tool's default."""
    defaults = {
        "aisbench": aisbench.TEMPERATURES[benchmark.case_type],
        "evalscope": evalscope.TEMPERATURE,
        "lm_eval": lm_eval.TEMPERATURE,
        "vllm_bench": vllm_bench.TEMPERATURE,
    }
    own = benchmark.temperature
    return defaults[benchmark.tool] if own is None else own


def is_greedy(benchmark: Benchmark) -> bool:
    """Return whether each token is the most probable one, so that answers hardly differ."""
    return temperature_of(benchmark) == 0 or benchmark.top_k == 1
