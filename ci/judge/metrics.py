"""Know the direction and the kind of a metric. Pure."""

from __future__ import annotations

# Scores are shares of items that are right; all but these depend on the load, too.
_SCORES = frozenset({"accuracy", "avg", "pass"})
_SECONDS = frozenset({"ms", "s"})
# Of the servers' metrics: each is a request that was computed twice, waited, or had no answer.
_LOWER = frozenset(
    {
        *("server_preemptions", "server_requests_waiting_max"),
        *("server_requests_abort", "server_requests_error", "server_requests_repetition"),
    }
)


def lower_is_better(metric: str, unit: str) -> bool:
    """Return whether a smaller value of a metric is the better one.

    Args:
        metric: e.g. `accuracy`, `ttft_p99`.
        unit: of its value; times are better if they are shorter.
    """
    return unit in _SECONDS or metric in _LOWER


def is_score(metric: str) -> bool:
    """Return whether a metric is the share of items that are right: `accuracy`, `pass@4`."""
    return metric.partition("@")[0] in _SCORES
