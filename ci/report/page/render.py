"""Write the page of a run as HTML, in one file that needs no other. Reads the templates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.record.text import duration, evidence_row, figure, requirement
from ci.report.since_good import summary
from ci.report.style.chart import Point, line_chart
from ci.report.style.environment import html_environment, policy_of, script_of, style_of
from ci.vllm.startup_phases import PHASES

if TYPE_CHECKING:
    from markupsafe import Markup

    from ci.record.page import CheckShown, Page

HERE = Path(__file__).parent
_KB = 1000
# Checks that need a reader come first.
_ORDER = {"fail": 0, "unknown": 1}


def as_html(page: Page) -> str:
    """Write a page as HTML: no request, no script of others; every text is escaped."""
    environment = html_environment(HERE / "templates")
    environment.filters |= {"duration": duration, "figure": figure, "size": size, "when": when}
    shown = sorted(page.checks, key=lambda check: _ORDER.get(check.outcome, len(_ORDER)))
    style, script = style_of(HERE / "report.css"), script_of(HERE / "report.js")
    return environment.get_template("report.html.j2").render(
        page=page,
        style=style,
        script=script,
        policy=policy_of(style, [script]),
        checks=shown,
        # Where something ended the night early, its cause says more than each check.
        findings=[each for each in shown if each.outcome == page.outcome and not each.same_as]
        if page.outcome in _ORDER and not page.cause
        else [],
        charts=[_chart(check, index) for index, check in enumerate(shown)],
        evidence=[evidence_row(check.model_dump()) for check in shown],
        required=[requirement(check.model_dump()) for check in shown],
        since_good=summary(page.since_good) if page.since_good else "",
        phases={phase.key: phase.title for phase in PHASES},
        items=[each.model_dump(exclude_defaults=True) for each in page.items],
    )


def as_json(page: Page) -> str:
    """Write a page as the text of report.json."""
    return page.model_dump_json(indent=1) + "\n"


def when(time: str) -> str:
    """Write a time of a record: `2026-01-01 20:00:00 UTC`."""
    return f"{time[:10]} {time[11:19]} UTC"


def size(size_bytes: int) -> str:
    """Write a size: `812 B`, `3.4 KB`, `12.0 MB`."""
    if size_bytes < _KB:
        return f"{size_bytes} B"
    if size_bytes < _KB * _KB:
        return f"{size_bytes / _KB:.1f} KB"
    return f"{size_bytes / _KB / _KB:.1f} MB"


def _chart(check: CheckShown, index: int) -> Markup | None:
    """Draw earlier nights and tonight; None without an earlier night: one point is no chart."""
    if check.value is None or not check.past:
        return None
    higher = check.operator.startswith(">")
    low, high = (check.bound, None) if higher else (None, check.bound)
    points = [
        Point(past.started_at[:10], past.value, past.outcome if past.compared else "unknown")
        for past in check.past
    ]
    tonight = Point("tonight", check.value, check.outcome, check.baseline, low, high)
    # The band and the baseline are tonight's; they are drawn along all of the chart.
    drawn = [
        Point(each.label, each.value, each.outcome, check.baseline, low, high) for each in points
    ]
    return line_chart(
        [*drawn, tonight],
        title=f"{check.name} {check.metric}",
        unit=check.unit,
        width=440,
        height=120,
        key=f"check-{index}",
    )
