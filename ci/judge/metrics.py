"""Know the direction and the kind of a metric. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.known_metrics import KNOWN, MAIN, OF_STARTUP

if TYPE_CHECKING:
    from ci.judge.measured import Kind

# Scores are shares of items that are right; all but these depend on the load, too.
_SCORES = frozenset({"accuracy", "avg", "pass"})
_SECONDS = frozenset({"ms", "s"})


def lower_is_better(metric: str, unit: str) -> bool:
    """Return whether a smaller value of a metric is the better one.

    Args:
        metric: e.g. `accuracy`, `ttft_p99`.
        unit: of its value; times are better if they are shorter.
    """
    known = KNOWN.get(metric)
    return known.better == "lower" if known else unit in _SECONDS


def is_score(metric: str) -> bool:
    """Return whether a metric is the share of items that are right: `accuracy`, `pass@4`."""
    return metric.partition("@")[0] in _SCORES


def kind_of(metric: str) -> Kind:
    """Return the kind of a metric's scale; see `Scale`."""
    if is_score(metric):
        return "accuracy"
    known = KNOWN.get(metric)
    return known.scale if known else "performance"


def may_be_zero(metric: str) -> bool:
    """Return whether a metric may be 0 though something was measured; a score apart."""
    known = KNOWN.get(metric)
    return known is not None and known.may_be_zero


def unit_of(metric: str) -> str:
    """Return the unit of a metric; empty if it is unknown."""
    if is_score(metric):
        return "%"
    known = KNOWN.get(metric)
    return known.unit if known else ""


def title_of(name: str, metric: str) -> str:
    """Name a check by its benchmark, and by its metric if it is not the main one."""
    if metric in OF_STARTUP:
        return metric
    return f"{name} {metric}" if metric in KNOWN and metric not in MAIN.values() else name
