"""Sum a suite's run up: the verdict, what needs action first, and its makespan. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.documents.counted import counted
from ci.record.text import duration
from ci.suite.outcome import first_actions
from ci.suite.progress import time_of
from ci.suite.resume import left_to_run
from ci.suite_run.rows import counts, remark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.suite.progress import NightState, SuiteRun

_SHOWN_ACTIONS = 5


def headline_of(run: SuiteRun) -> str:
    """Write the outcome of a suite in words."""
    counting = [each for each in run.nights if each.counts]
    nights = counted(len(run.nights), "night")
    words = {
        "running": "RUNNING",
        "pass": f"PASS: {len(counting)} of {nights} {_verb(run.nights)}, all passed",
        "fail": f"FAIL: {_number(counting, 'fail')} of {counted(len(counting), 'night')} failed",
        "unknown": "UNKNOWN: nothing failed, but not all nights passed",
    }
    text = words[run.outcome]
    if run.outcome == "unknown" and not any(each.attempts for each in counting):
        text = "UNKNOWN: no night that counts was begun"
    return f"INTERRUPTED by {run.interrupted}, {text}" if run.interrupted else text


def _verb(nights: Sequence[NightState]) -> str:
    return "counts" if len(nights) == 1 else "count"


def _number(nights: list[NightState], outcome: str) -> int:
    return sum(each.outcome == outcome for each in nights)


def makespan_s(run: SuiteRun) -> float | None:
    """Return the time from the first begin to the last end, in seconds; None if nothing ran."""
    attempts = [each for night in run.nights for each in night.attempts if each.ended_at]
    if not attempts:
        return None
    first = min(time_of(each.began_at) for each in attempts)
    last = max(time_of(each.ended_at or each.began_at) for each in attempts)
    return (last - first).total_seconds()


def makespan_text(run: SuiteRun) -> str:
    """Write the makespan beside the bounds; empty if nothing ran."""
    seconds = makespan_s(run)
    if seconds is None:
        return ""
    taken = f", with their real durations {duration(run.taken_bound_s)}" * bool(run.taken_bound_s)
    return (
        f"makespan {duration(seconds)}; on {counted(run.hosts, 'host')} these nights take at least "
        f"{duration(run.bound_s)} as expected{taken}"
    )


def summary_of(run: SuiteRun) -> str:
    """Write the last lines of a run for the console."""
    lines = [headline_of(run), f"nights {counts(run)}"]
    actions = list(first_actions(run))
    lines += [f"{'first' if not at else '     '}  {each}" for at, each in enumerate(actions)][
        :_SHOWN_ACTIONS
    ]
    if len(actions) > _SHOWN_ACTIONS:
        lines.append(f"       and {len(actions) - _SHOWN_ACTIONS} more, see the report")
    left = len(left_to_run(run))
    if left and run.outcome != "running":
        nights = "1 night" if left == 1 else f"{left} nights"
        lines.append(f"next   `inv suite.run --resume {run.id}` runs what is left: {nights}")
    lines += apart(run)
    if text := job_text(run):
        lines.append(f"slurm  {text}")
    if text := makespan_text(run):
        lines.append(f"time   {text}")
    return "\n".join(lines) + "\n"


def job_text(run: SuiteRun) -> str:
    """Write which Slurm job has the hosts, and what became of it; empty if none has."""
    job = run.slurm
    if job is None:
        return ""
    if not job.job:
        return job.ended or "no Slurm job was submitted"
    where = f" of partition {job.partition}" if job.partition else ""
    nodes = f" on {', '.join(job.nodes)}" if job.nodes else ""
    before = f", after {', '.join(map(str, job.earlier))}" if job.earlier else ""
    used = "" if job.own else ", in which the suite ran and which it did not end"
    end = job.ended.removeprefix(f"Slurm job {job.job}: ") or (
        "cancelled at the end" if job.released else ""
    )
    return f"Slurm job {job.job}{before}{where}{nodes}{used}{f': {end}' if end else ''}"


def apart(run: SuiteRun) -> Iterator[str]:
    """Yield what is named apart: muted and unstable cases."""
    for night in run.nights:
        if night.mute:
            yield f"muted  {mute_text(night)}"
    for night in run.nights:
        if night.unstable:
            yield f"unstable {night.name}: {night.unstable}"


def mute_text(night: NightState) -> str:
    """Write the mute of a night, and how the night ended."""
    mute = night.mute
    if mute is None:
        return ""
    return f"{night.name}: {night.outcome}; until {mute.until} by {mute.owner}: {mute.because}"


def values_of(run: SuiteRun) -> dict[str, Any]:
    """Return a run as values for JSON: what suite.json has, and what follows from it."""
    return {
        "headline": headline_of(run),
        "actions": list(first_actions(run)),
        "makespan_s": makespan_s(run),
        "muted": [each.name for each in run.nights if each.mute],
        "unstable": {each.name: each.unstable for each in run.nights if each.unstable},
        "not_begun": {each.name: each.note for each in run.nights if each.state == "left-out"},
        "remarks": {each.name: remark(each) for each in run.nights if remark(each)},
        **run.model_dump(mode="json"),
    }
