"""Write the change points of a case, as text and as values for JSON. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.judge.change_points import INSTALL
from ci.record.text import figure
from ci.report.table import as_text, fold

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from ci.history.steps import Step, Steps

HEADINGS = ("since", "first run", "check", "hosts", "level", "change", "p", "what else changed")
# Variables that are listed; `inv compare` lists all.
_SHOWN = 3


def change_points_text(steps: Steps, runs: Collection[str], width: int | None) -> str:
    """Write the change points of the nights that are listed; empty if there is nothing to say.

    Args:
        steps: of the case.
        runs: ids of the listed nights.
        width: of the terminal in columns; None for no limit.
    """
    if steps.found is None:
        return fold(f"\nchange points are not looked for: {INSTALL}\n", width)
    if not steps.series:
        return ""
    shown = [each for each in steps.found if each.point.after.run in runs]
    earlier = len(steps.found) - len(shown)
    more = f"{earlier} of earlier nights: give --nights 0\n" if earlier else ""
    if not shown:
        return f"\nno change point in these nights\n{more}"
    rows = [_row(each) for each in shown]
    table = as_text(HEADINGS, rows, width)
    return f"\nchange points, from which on a figure has another level\n{table}{more}"


def _row(step: Step) -> tuple[str, ...]:
    point = step.point
    unit = "points" if point.after.unit == "%" else "%"
    return (
        point.after.started_at[:16].replace("T", " "),
        point.after.run,
        f"{point.after.benchmark} {point.after.metric}",
        point.after.host or "-",
        f"{figure(point.old)} → {figure(point.new, point.after.unit)}",
        f"{point.change:+.1f} {unit}, {'better' if point.better else 'worse'}",
        f"{point.p:.1g}",
        _changed(step),
    )


def _changed(step: Step) -> str:
    found = step.differences
    if found is None:
        return "not known"
    if not found:
        return "nothing known"
    more = len(found) - _SHOWN
    listed = "; ".join(f"{each.variable}: {each.text}" for each in found[:_SHOWN])
    nearby = "within a night of it: " * step.nearby
    return nearby + listed + (f"; and {more} more variables" if more > 0 else "")


def change_points_values(steps: Steps, run: str) -> list[dict[str, Any]] | None:
    """Return the change points that begin with a night; None if Otava is not installed.

    Args:
        steps: of the case.
        run: id of the night.
    """
    if steps.found is None:
        return None
    return [_values(each) for each in steps.found if each.point.after.run == run]


def _values(step: Step) -> dict[str, Any]:
    point = step.point
    changed: Sequence[dict[str, Any]] | None = None
    if step.differences is not None:
        changed = [{"variable": each.variable, "changes": each.parts} for each in step.differences]
    return {
        "benchmark": point.after.benchmark,
        "metric": point.after.metric,
        "unit": point.after.unit,
        "host": point.after.host,
        "before": point.before.run,
        "from": point.old,
        "to": point.new,
        "change": point.change,
        "better": point.better,
        "p": point.p,
        "variables": changed,
        "within_a_night": step.nearby,
    }
