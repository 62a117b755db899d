"""Write the plan of a suite as text and as JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.report.table import as_text, fold, width_of
from ci.suite.planned import duration

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

    from ci.commands.suite_source import SelectedNights
    from ci.suite.night import SuiteNight
    from ci.suite.planned import PlannedNight, SuitePlan
    from ci.suite.window import Span

HEADINGS = ("night", "hosts", "start", "end", "takes", "priority", "remark")
_SHOWN_HOSTS = 4


def as_table(selected: SelectedNights, planned: SuitePlan, run_type: str, cluster: str) -> str:
    """Write the nights as a table, then what is not begun and why."""
    width = width_of(sys.stdout)
    count = len(planned.nights) + len(planned.not_planned)
    nights, hosts = counted(count, "night"), counted(planned.hosts, "host")
    where = f"on {hosts} of {cluster}, {_span(planned.span)}"
    lines = [f"{selected.suite.name}: {nights} of run type {run_type} {where}\n"]
    if planned.nights:
        rows = [_row(each, planned.span) for each in planned.nights]
        lines.append(as_text(HEADINGS, rows, width))
        lines.append(_makespan(planned))
    if planned.not_planned:
        lines.append(f"not begun: {counted(len(planned.not_planned), 'night')}")
        lines += [f"  {each.night.name}: {each.reason}" for each in planned.not_planned]
    if any(night.basis == "assumed" for night in selected.nights):
        lines.append(
            "~ is assumed: write `expected`, or let the night run once with the same --runs"
        )
    if selected.accuracy:
        lines.append(f"accuracy: {selected.accuracy}")
    lines += [f"note   {note}" for note in selected.notes]
    return fold("\n".join(lines), width) + "\n"


def _row(each: PlannedNight, span: Span) -> tuple[str, ...]:
    night = each.night
    names = ", ".join(each.hosts[:_SHOWN_HOSTS])
    more = len(each.hosts) - _SHOWN_HOSTS
    takes = duration(night.expected_s)
    return (
        night.name,
        names if more <= 0 else f"{names} and {more} more",
        *(_clock(moment, span) for moment in (each.start, each.end)),
        f"~{takes}" if night.basis == "assumed" else takes,
        "gate" if night.gate else "canary" if night.canary else str(night.priority),
        ", ".join(_remarks(night)),
    )


def _clock(moment: dt.datetime, span: Span) -> str:
    days = (moment.date() - span.start.date()).days
    return f"{moment:%H:%M}{f' +{days}d' * (days > 0)}"


def _remarks(night: SuiteNight) -> Iterator[str]:
    if night.needs.share:
        yield f"{counted(night.needs.devices, 'device')}"
    if night.owner:
        yield f"of {night.owner}"
    if night.mute:
        yield f"muted until {night.mute.until} by {night.mute.owner}: {night.mute.because}"


def _span(span: Span) -> str:
    end = f" until {_clock(span.until, span)}" if span.until else ""
    return f"from {span.start:%Y-%m-%d %H:%M}{end}"


def _makespan(planned: SuitePlan) -> str:
    bound = duration(planned.bound_s)
    return f"makespan {duration(planned.makespan_s)}; on these hosts it is {bound} at least"


def as_values(
    selected: SelectedNights, planned: SuitePlan, run_type: str, cluster: str
) -> dict[str, Any]:
    """Return the plan as values for JSON."""
    span = planned.span
    return {
        "suite": selected.suite.file,
        "run_type": run_type,
        "cluster": cluster,
        "start": span.start.isoformat(),
        "until": span.until.isoformat() if span.until else None,
        "makespan_s": planned.makespan_s,
        "bound_s": planned.bound_s,
        "accuracy": selected.accuracy or None,
        "nights": [
            {
                **night_values(each.night),
                "hosts": list(each.hosts),
                "start": each.start.isoformat(),
                "end": each.end.isoformat(),
            }
            for each in planned.nights
        ],
        "not_begun": [
            {**night_values(each.night), "reason": each.reason} for each in planned.not_planned
        ],
        "left_out": [str(problem) for problem in selected.problems],
        "notes": list(selected.notes),
    }


def night_values(night: SuiteNight) -> dict[str, Any]:
    """Return a night as values for JSON."""
    mute = night.mute
    return {
        "name": night.name,
        "config": night.config,
        "vllm": night.vllm or None,
        "set": list(night.settings),
        "stages": list(night.stages),
        "benchmarks": list(night.benchmarks),
        "functional": night.functional or None,
        "functional_cases": list(night.functional_cases),
        "needs": {
            "hosts": night.needs.count,
            "kind": night.needs.kind or None,
            "devices": night.needs.devices,
            "share": night.needs.share,
        },
        "priority": night.priority,
        "canary": night.canary,
        "gate": night.gate,
        "owner": night.owner or None,
        "tags": list(night.tags),
        "expected_s": night.expected_s,
        "expected_from": night.basis,
        "retry": night.retry.model_dump(),
        "judge": dict(night.judge),
        "mute": {"owner": mute.owner, "until": str(mute.until), "because": mute.because}
        if mute
        else None,
    }
