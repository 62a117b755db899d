"""What servers did during an evaluation, from their metrics before, during and after it. Pure.

https://docs.vllm.ai/en/stable/usage/metrics.html
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.vllm.metrics import samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SUCCESS = "vllm:request_success_total"
_COUNTERS = {
    "vllm:prompt_tokens_total": "server_prompt_tokens",
    "vllm:generation_tokens_total": "server_generated_tokens",
    "vllm:num_preemptions_total": "server_preemptions",
    "vllm:prefix_cache_queries_total": "prefix queries",
    "vllm:prefix_cache_hits_total": "prefix hits",
    "vllm:external_prefix_cache_queries_total": "external queries",
    "vllm:external_prefix_cache_hits_total": "external hits",
    "vllm:spec_decode_num_drafts_total": "drafts",
    "vllm:spec_decode_num_draft_tokens_total": "draft tokens",
    "vllm:spec_decode_num_accepted_tokens_total": "accepted tokens",
}
_REASONS = frozenset({"stop", "length", "abort", "error", "repetition"})
# Shown as they are, in this unit.
_TOTALS = {
    "server_prompt_tokens": "tokens",
    "server_generated_tokens": "tokens",
    "server_preemptions": "requests",
}
_RATES = (
    ("prefix_cache_hit_rate", "prefix hits", "prefix queries"),
    ("external_prefix_cache_hit_rate", "external hits", "external queries"),
    ("draft_acceptance_rate", "accepted tokens", "draft tokens"),
)
# Gauge → figure, unit, and the factor from the gauge's unit.
_GAUGES = {
    "vllm:num_requests_running": ("server_requests_running_max", "requests", 1.0),
    "vllm:num_requests_waiting": ("server_requests_waiting_max", "requests", 1.0),
    "vllm:kv_cache_usage_perc": ("kv_cache_usage_max", "%", 100.0),
}
Gauges = dict[str, float]
Figure = tuple[str, float, str]


def gauges_of(pages: Sequence[str]) -> Gauges:
    """Return the gauges of a moment: requests summed over all engines, of cache usage the largest.

    Args:
        pages: the metrics of each server.
    """
    gauges: Gauges = {}
    for name in _GAUGES:
        values = [value for page in pages for _, value in samples(page, name)]
        if values:
            gauges[name] = max(values) if name.endswith("_perc") else sum(values)
    return gauges


def server_figures(
    before: Sequence[str], after: Sequence[str], during: Sequence[Gauges]
) -> tuple[Figure, ...]:
    """Return what the servers did between two moments: name, value and unit of each figure.

    The accepted length is the mean number of tokens of a step with speculative decoding: one of
    the model itself, and the accepted ones of the draft.

    Args:
        before: the metrics of each server before the evaluation.
        after: the same servers' metrics after it.
        during: gauges of moments between the two.

    Returns:
        Only what the servers have metrics for; nothing if a server was started again meanwhile.
    """
    counted = _difference(_counters(before), _counters(after))
    if counted is None:
        return ()
    return (*_counted(counted), *_largest(during))


@dataclass(frozen=True)
class Load:
    """What servers did between two moments.

    Attributes:
        requests: that ended.
        generated: tokens.
        running: requests at the second moment.
        waiting: requests at the second moment.
    """

    requests: int
    generated: int
    running: int
    waiting: int


def load_between(before: Sequence[str], now: Sequence[str]) -> Load | None:
    """Return what servers did between two moments; None if one was started again meanwhile.

    Args:
        before: the metrics of each server at the first moment.
        now: the same servers' metrics at the second one.
    """
    counted = _difference(_counters(before), _counters(now))
    if counted is None:
        return None
    ended = sum(value for name, value in counted.items() if name.startswith("server_requests_"))
    gauges = gauges_of(now)
    return Load(
        round(ended),
        round(counted.get("server_generated_tokens", 0.0)),
        round(gauges.get("vllm:num_requests_running", 0.0)),
        round(gauges.get("vllm:num_requests_waiting", 0.0)),
    )


def _counted(counted: Mapping[str, float]) -> Iterator[Figure]:
    for name, unit in _TOTALS.items():
        if name in counted:
            yield name, counted[name], unit
    for name, part, whole in _RATES:
        if part in counted and counted.get(whole):
            yield name, 100 * counted[part] / counted[whole], "%"
    if "accepted tokens" in counted and counted.get("drafts"):
        yield "accepted_length", 1 + counted["accepted tokens"] / counted["drafts"], "tokens"
    for name, value in counted.items():
        if name.startswith("server_requests_"):
            yield name, value, "requests"


def _largest(during: Sequence[Gauges]) -> Iterator[Figure]:
    """Yield the largest value of each gauge; nothing if no sample saw a request running.

    Samples are seconds apart, so that those of a short evaluation may all be of idle servers.
    """
    if not any(moment.get("vllm:num_requests_running") for moment in during):
        return
    for gauge, (name, unit, factor) in _GAUGES.items():
        values = [moment[gauge] for moment in during if gauge in moment]
        if values:
            yield name, factor * max(values), unit


def _counters(pages: Sequence[str]) -> dict[str, float]:
    counters: dict[str, float] = defaultdict(float)
    for page in pages:
        for metric, name in _COUNTERS.items():
            for _, value in samples(page, metric):
                counters[name] += value
        for labels, value in samples(page, _SUCCESS):
            reason = labels.get("finished_reason", "")
            counters[f"server_requests_{reason if reason in _REASONS else 'other'}"] += value
    return counters


def _difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float] | None:
    """Subtract counters; None if one has become smaller, so that a server began anew."""
    difference = {name: value - before.get(name, 0.0) for name, value in after.items()}
    fell = any(value < 0 for value in difference.values()) or set(before) - set(after)
    return None if fell else difference
