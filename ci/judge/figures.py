"""Take the figures to judge from results, or the reasons why they cannot be used. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ci.judge.metrics import may_be_zero

if TYPE_CHECKING:
    from ci.tools.model import Measurement, Result

NO_OUTPUT = "no token came back"
MAX_PERCENT = 100.0


def valid_figure(
    benchmark: str, metric: str, result: Result | None, cause: str, unit: str = ""
) -> tuple[Measurement | None, str]:
    """Return the measurement of a metric, or the reason why it cannot be judged.

    Args:
        benchmark: the benchmark's name.
        metric: e.g. `accuracy`.
        result: its result; None if it never ran.
        cause: the error that ended the night early; may be empty.
        unit: the expected unit; empty for the unit of the measurement.
    """
    measured, doubt = _measured(benchmark, metric, result, cause)
    doubt = doubt or (_doubt(measured, unit or measured.unit) if measured else "")
    return (None, doubt) if doubt else (measured, "")


def remark(result: Result | None) -> str:
    """Count the answers that were cut by `max_out_len`, empty, or repetitions.

    Args:
        result: of a benchmark of accuracy; None if it never ran.

    Returns:
        One line; empty if there are none.
    """
    items = result.items if result else ()
    counts = {
        "cut": sum(item.finish_reason == "length" for item in items),
        "empty": sum(item.tokens == 0 for item in items),
        "repetitions": sum(item.finish_reason == "repetition" for item in items),
    }
    listed = [
        f"{count} of {len(items)} answers were {what}" for what, count in counts.items() if count
    ]
    return "; ".join(listed)


def void_reason(result: Result | None) -> str:
    """Return why figures of performance say nothing about the servers; empty if they do.

    Args:
        result: None if the benchmark never ran.
    """
    return f"void: {'; '.join(result.void)}" if result and result.void else ""


def disturbance(result: Result | None) -> str:
    """Return the same as a remark, for figures that the hosts' load does not change.

    The load of a host changes no answer. If it lost requests, the result has that as a problem.
    """
    return f"the hosts were disturbed: {'; '.join(result.void)}" if result and result.void else ""


def _measured(
    name: str, metric: str, result: Result | None, cause: str
) -> tuple[Measurement | None, str]:
    """Return the measurement of a metric, or the reason why there is none."""
    if result is None:
        return None, f"never reached: {cause}" if cause else "never reached"
    if result.problems:
        return None, "; ".join(result.problems)
    figures = [m for m in result.measurements if (m.metric, m.benchmark) == (metric, name)]
    if not figures:
        return None, f"no {metric} in its result"
    if len(figures) > 1:
        return None, f"{metric} was measured {len(figures)} times"
    if result.items and all(item.tokens == 0 for item in result.items):
        return None, NO_OUTPUT
    return figures[0], ""


def _doubt(measurement: Measurement, unit: str) -> str:
    """Return the reason why a figure is not valid; empty if it is."""
    value = measurement.value
    if not math.isfinite(value):
        return f"{measurement.metric} is {value}"
    if measurement.unit != unit:
        return f"{measurement.metric} has the unit {measurement.unit!r}, expected {unit!r}"
    if measurement.n <= 0:
        return f"{measurement.metric} was measured on no item"
    if unit == "%" and not 0 <= value <= MAX_PERCENT:
        return f"{measurement.metric} of {value:g} % is outside 0 to 100"
    if unit != "%" and (value < 0 or (value == 0 and not may_be_zero(measurement.metric))):
        return f"{measurement.metric} of {value:g} {unit}: {NO_OUTPUT}"
    return ""
