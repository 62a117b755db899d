"""Make the details of a case: its figures over a year, its nights, its baselines. Pure."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.judge.metrics import title_of
from ci.record.text import duration
from ci.record.text import figure as plain_figure
from ci.report.pages.around import changes_of
from ci.report.style.chart import Change, Point, line_chart
from ci.report.style.texts import shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from markupsafe import Markup

    from ci.history.steps import Step, Steps
    from ci.history.year import YearCheck, YearNight
    from ci.judge.baseline import Ledger

_MAX_NAME_CHARS = 60
_MAX_UNIT_CHARS = 20
_DIGITS = 8
# Variables that are listed beside a change point; `inv compare` lists all.
_SHOWN = 3


@dataclass(frozen=True)
class Trend:
    """A figure of a case over the nights.

    Attributes:
        title: benchmark, and metric if it is not the main one.
        metric: its name.
        unit: of its values.
        chart: the drawing.
        last: the value of the last night that has one, as text.
        requirement: what it has to be, as text; empty if nothing is required.
        failed: number of nights in which it failed.
    """

    title: str
    metric: str
    unit: str
    chart: Markup
    last: str
    requirement: str
    failed: int


@dataclass(frozen=True)
class StepRow:
    """A change point, as text."""

    day: str
    run: str
    check: str
    hosts: str
    level: str
    change: str
    better: bool
    around: str


@dataclass(frozen=True)
class NightRow:
    """A night, as text; `values` are in the order of the trends."""

    day: str
    night: YearNight
    took: str
    values: tuple[tuple[str, str], ...]
    remark: str
    again: int


def slug_of(case: str) -> str:
    """Return the name of a case's file, which no other case has, on any file system."""
    digest = hashlib.sha256(case.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", shown(case)).strip("-")[:_MAX_NAME_CHARS]
    return f"{plain or 'case'}-{digest}"


def figure(value: object, unit: str = "") -> str:
    """Write a figure; its unit is a text of a tool."""
    return plain_figure(value, shown(unit, _MAX_UNIT_CHARS))


def trends_of(
    nights: Sequence[YearNight], checks: Mapping[int, Sequence[YearCheck]], steps: Steps
) -> tuple[Trend, ...]:
    """Draw every judged figure of a case over its nights.

    Args:
        nights: of the case, the oldest first.
        checks: number of a run → its checks.
        steps: its change points.
    """
    names = names_of(nights, checks)
    return tuple(_trend(index, name, nights, checks, steps) for index, name in enumerate(names))


def names_of(
    nights: Sequence[YearNight], checks: Mapping[int, Sequence[YearCheck]]
) -> tuple[tuple[str, str], ...]:
    """Return name and metric of the figures that any night judged, in the order of the last."""
    found: dict[tuple[str, str], None] = {}
    for night in reversed(nights):
        for check in checks.get(night.number, ()):
            if check.measured and check.value is not None:
                found.setdefault((check.name, check.metric))
    return tuple(found)


def _trend(
    index: int,
    name: tuple[str, str],
    nights: Sequence[YearNight],
    checks: Mapping[int, Sequence[YearCheck]],
    steps: Steps,
) -> Trend:
    found = [_check(checks.get(night.number, ()), name) for night in nights]
    points = [_point(night, check) for night, check in zip(nights, found, strict=True)]
    last = next(each for each in reversed(found) if each is not None and each.value is not None)
    at = {night.run: place for place, night in enumerate(nights)}
    changes = [
        Change(at[step.point.after.run], change_of(step))
        for step in reversed(steps.found or ())
        if (step.point.after.benchmark, step.point.after.metric) == name
        and step.point.after.run in at
    ]
    title, unit = shown(title_of(*name)), shown(last.unit, _MAX_UNIT_CHARS)
    return Trend(
        title,
        name[1],
        unit,
        line_chart(points, title=title, unit=unit, changes=changes, key=f"trend-{index}"),
        figure(last.value, last.unit),
        _requirement(last),
        sum(each is not None and each.outcome == "fail" for each in found),
    )


def _check(checks: Sequence[YearCheck], name: tuple[str, str]) -> YearCheck | None:
    return next((each for each in checks if (each.name, each.metric) == name), None)


def _point(night: YearNight, check: YearCheck | None) -> Point:
    if check is None:
        return Point(night.day, None)
    low = check.bound if check.operator.startswith(">") else None
    high = check.bound if check.operator.startswith("<") else None
    return Point(night.day, check.value, check.outcome, check.baseline, low, high)


def _requirement(check: YearCheck) -> str:
    if check.bound is None:
        return ""
    words = "at least" if check.operator.startswith(">") else "at most"
    return f"{words} {figure(check.bound, check.unit)}"


def change_of(step: Step) -> str:
    """Write how far a change point goes: `-5.1 %`."""
    unit = "points" if step.point.after.unit == "%" else "%"
    return f"{step.point.change:+.1f} {unit}"


def step_rows(steps: Steps) -> tuple[StepRow, ...]:
    """Write the change points of a case, the newest first."""
    return tuple(
        StepRow(
            step.point.after.started_at[:10],
            step.point.after.run,
            title_of(step.point.after.benchmark, step.point.after.metric),
            step.point.after.host,
            f"{figure(step.point.old)} → {figure(step.point.new, step.point.after.unit)}",
            change_of(step),
            step.point.better,
            _around(step),
        )
        for step in steps.found or ()
    )


def _around(step: Step) -> str:
    if step.differences is None:
        return "not known"
    if not step.differences:
        return "nothing known"
    listed = "; ".join(f"{each.variable}: {each.text}" for each in step.differences[:_SHOWN])
    more = len(step.differences) - _SHOWN
    near = "within a night of it: " * step.nearby
    return f"{near}{listed}{f'; and {more} more variables' * (more > 0)}"


def night_rows(
    nights: Sequence[YearNight],
    checks: Mapping[int, Sequence[YearCheck]],
    beside: Sequence[YearNight],
    rejected: Mapping[str, str],
) -> tuple[NightRow, ...]:
    """Write the nights of a case, the newest first.

    Args:
        nights: of the case, the oldest first.
        checks: number of a run → its checks.
        beside: runs that belong to a night, such as control runs.
        rejected: run → why an operator rejected it.
    """
    names = names_of(nights, checks)
    count = Counter(run.day for run in beside)
    return tuple(
        NightRow(
            night.day,
            night,
            duration(night.seconds) if night.seconds else "-",
            tuple(_value(_check(checks.get(night.number, ()), name)) for name in names),
            _remark(night, checks.get(night.number, ()), rejected),
            count[night.day],
        )
        for night in reversed(nights)
    )


def _value(check: YearCheck | None) -> tuple[str, str]:
    """Return a figure as text, and the outcome of its check if that is no pass."""
    if check is None or check.value is None:
        return "-", ""
    return figure(check.value), check.outcome if check.outcome != "pass" else ""


def _remark(night: YearNight, checks: Sequence[YearCheck], rejected: Mapping[str, str]) -> str:
    if night.run in rejected:
        return f"rejected: {rejected[night.run]}"
    if night.outcome == "pass":
        return ""
    if night.cause:
        return night.cause
    bad = [check for check in checks if check.outcome != "pass"]
    failed = [check for check in bad if check.outcome == "fail"] or bad
    return f"{title_of(failed[0].name, failed[0].metric)}: {failed[0].reason}" if failed else ""


def changed_rows(nights: Sequence[YearNight]) -> tuple[tuple[str, str, str, str, str, str], ...]:
    """Return day, what, old, new and both runs of what changed around a case's nights."""
    return tuple(
        (each.day, each.what, each.old, each.new, each.before, each.after)
        for each in changes_of(nights)
    )


def baseline_rows(
    ledger: Ledger,
) -> tuple[tuple[str, str, str, str, str, str, str], ...]:
    """Return when, check, old, new, who, why and what stands out of each baseline, newest first."""
    return tuple(
        (
            each.when[:10],
            title_of(each.benchmark, each.metric),
            figure(each.before, each.unit),
            figure(each.value, each.unit),
            each.who,
            each.because,
            ", ".join([*["loosened"] * each.loosened, *each.forced]),
        )
        for each in reversed(ledger.accepted)
    )
