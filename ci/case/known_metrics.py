"""Know every figure that a night measures: its unit, which side is better, and its scale. Pure.

The figures of a benchmark are those of its tool and of the servers' metrics pages; those of a start
are in the servers' logs. A test compares this list with what tools and servers give.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ci.vllm.startup_phases import PHASES, UNIT

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class KnownMetric:
    """A figure.

    Attributes:
        unit: of its value.
        better: which value is the better one; `neither` of an amount of work.
        scale: performance: its noise is a share of its level; count: of events, which may be 0;
            share: a percentage that may be 0, and whose trials are unknown.
        may_be_zero: whether 0 is a valid value, and not a sign that nothing was measured.
    """

    unit: str
    better: Literal["lower", "higher", "neither"]
    scale: Literal["performance", "count", "share"] = "performance"
    may_be_zero: bool = False


# The start-up figures are the results of a benchmark with this name.
STARTUP = "startup"
# Name of a figure in a case → its name in results.
ALSO = {"goodput": "request_goodput"}
GOODPUT = "request_goodput"
LATENCIES = ("ttft", "tpot", "itl", "e2el")
STATISTICS = ("mean", "p50", "p90", "p99")

_AMOUNT = KnownMetric("tokens", "neither", may_be_zero=True)
_BAD_COUNT = KnownMetric("requests", "lower", "count", may_be_zero=True)
_GOOD_SHARE = KnownMetric("%", "higher", "share", may_be_zero=True)
OF_LOAD: Mapping[str, KnownMetric] = {
    "output_token_throughput": KnownMetric("tok/s", "higher"),
    "request_throughput": KnownMetric("req/s", "higher"),
    "total_token_throughput": KnownMetric("tok/s", "higher"),
    **{
        f"{latency}_{statistic}": KnownMetric("ms", "lower")
        for latency in LATENCIES
        for statistic in STATISTICS
    },
    GOODPUT: KnownMetric("req/s", "higher", may_be_zero=True),
    "input_tokens": _AMOUNT,
    "output_tokens": _AMOUNT,
}
OF_SERVERS: Mapping[str, KnownMetric] = {
    "server_prompt_tokens": _AMOUNT,
    "server_generated_tokens": _AMOUNT,
    "server_preemptions": _BAD_COUNT,
    # Answers that ended by themselves, or at their maximum length: which, the case says.
    "server_requests_stop": KnownMetric("requests", "neither", "count", may_be_zero=True),
    "server_requests_length": KnownMetric("requests", "neither", "count", may_be_zero=True),
    "server_requests_abort": _BAD_COUNT,
    "server_requests_error": _BAD_COUNT,
    "server_requests_repetition": _BAD_COUNT,
    "server_requests_other": _BAD_COUNT,
    "server_requests_running_max": KnownMetric("requests", "higher", "count", may_be_zero=True),
    "server_requests_waiting_max": _BAD_COUNT,
    "kv_cache_usage_max": KnownMetric("%", "lower", "share", may_be_zero=True),
    "prefix_cache_hit_rate": _GOOD_SHARE,
    "external_prefix_cache_hit_rate": _GOOD_SHARE,
    "draft_acceptance_rate": _GOOD_SHARE,
    "accepted_length": KnownMetric("tokens", "higher"),
}
# Logs round short phases to 0.
OF_STARTUP: Mapping[str, KnownMetric] = {
    phase.metric: KnownMetric(UNIT, "lower", may_be_zero=True) for phase in PHASES
}
KNOWN: Mapping[str, KnownMetric] = {**OF_LOAD, **OF_SERVERS, **OF_STARTUP}
# The figure that `baseline` and `threshold` of a benchmark are of.
MAIN = {"accuracy": "accuracy", "performance": "output_token_throughput"}


def figure_named(name: str) -> str:
    """Return the name in results of a figure that a case names."""
    return ALSO.get(name, name)
