"""Put everything that a run did on one clock: steps, processes, starts, evaluations, load. Pure."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci.history.hosts import facts_of
from ci.record.page import Lane, Load, Mark, Span, Timeline
from ci.remote.names import LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from ci.judge.samples import Sample
    from ci.record.model import Evaluation, ProcessEnd, Run

# Less is the uncertainty of the measurement itself.
LEAST_AHEAD_S = 0.1
MOST_POINTS = 240
MOST_MARKS = 60
MOST_MARK_CHARS = 300
# In which all of a start is; the other phases have no time of their own in a record.
WHOLE_START = "api"


def timeline_of(
    run: Run, notes: Iterable[tuple[str, str]], samples: Mapping[str, Sequence[Sample]]
) -> Timeline:
    """Make the timeline of a run.

    Args:
        run: the record.
        notes: time (UTC, ISO 8601, by the controller's clock) and text of each note.
        samples: host → what it did, by its own clock.
    """
    begin_s = seconds_at(run.started_at)
    if begin_s is None:
        return Timeline(seconds=run.seconds)
    ahead_s = {host: _ahead_s(run, host) for host in {*run.hosts, *samples}}
    lanes = [
        Lane(name="lamplighter", spans=tuple(_steps(run, begin_s))),
        *_processes(run, begin_s, ahead_s),
        *_evaluations(run, begin_s, ahead_s),
    ]
    ends = [span.start_s + span.seconds for lane in lanes for span in lane.spans]
    marks = [
        Mark(at_s=_rounded(at - begin_s), text=text[:MOST_MARK_CHARS])
        for time, text in notes
        if (at := seconds_at(time)) is not None
    ]
    loads = [
        load
        for host, listed in samples.items()
        for load in loads_of(host, listed, begin_s + ahead_s[host])
    ]
    return Timeline(
        seconds=_rounded(max([run.seconds, *ends])),
        lanes=tuple(lane for lane in lanes if lane.spans),
        marks=tuple(marks[:MOST_MARKS]),
        loads=tuple(loads),
        corrected={
            host: _rounded(seconds)
            for host, seconds in ahead_s.items()
            if abs(seconds) > LEAST_AHEAD_S
        },
    )


def seconds_at(time: str | None) -> float | None:
    """Return a time as seconds since 1970; None if it is none.

    Args:
        time: ISO 8601, of a record or of a host; without a zone it is UTC.
    """
    try:
        read = datetime.fromisoformat(time or "")
    except ValueError:
        return None
    return (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()


def loads_of(host: str, samples: Sequence[Sample], begin_s: float) -> Iterator[Load]:
    """Yield the series of a host: means of so many seconds that a series has few points.

    Args:
        host: its name.
        samples: in the order of time.
        begin_s: when the run began, by the host's clock, in seconds since 1970.
    """
    series: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for sample in samples:
        for what, percent in shares_of(sample):
            series[what].append((sample.time_s - begin_s, percent))
    for what, points in series.items():
        if any(percent >= 1 for _, percent in points):  # a flat line tells nothing
            yield Load(host=host, what=what, points=tuple(_means(points)))


def shares_of(sample: Sample) -> Iterator[tuple[str, float]]:
    """Yield what a host did in one sample, in percent of what it has."""
    cpu, processes = sample.cpu, sample.processes
    if cpu and cpu.all_s:
        yield "CPU busy", 100 * cpu.busy_s / cpu.all_s
        yield "CPU stolen", 100 * cpu.steal_s / cpu.all_s
    if processes and processes.covers_s:
        whole_s = processes.covers_s * processes.cores
        yield "CPU of others", 100 * processes.foreign_s / whole_s
    used = [
        device.utilization_percent
        for device in sample.devices.values()
        if device.utilization_percent is not None
    ]
    if used:
        yield "devices busy", sum(used) / len(used)


def _means(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    together = -(-len(points) // MOST_POINTS)
    for first in range(0, len(points), together):
        group = points[first : first + together]
        mean = sum(percent for _, percent in group) / len(group)
        yield _rounded(group[0][0]), round(min(mean, 100.0), 1)


def _steps(run: Run, begin_s: float) -> Iterator[Span]:
    for step in run.steps:
        at = seconds_at(step.started_at)
        if at is not None:
            yield Span(
                title=step.name,
                kind="step",
                start_s=_rounded(at - begin_s),
                seconds=_rounded(step.seconds or 0.0),
                outcome=step.outcome,
                detail=step.detail,
            )


def _processes(run: Run, begin_s: float, ahead_s: Mapping[str, float]) -> Iterator[Lane]:
    evaluations = {_process_of(each) for each in run.evaluations}
    starts = {(each.process, each.host): each.seconds for each in run.startup}
    for process in run.processes:
        if process.name == LEASE or process.name in evaluations:
            continue
        ahead = ahead_s.get(process.host, 0.0)
        span = _life(process, begin_s + ahead, (seconds_at(run.ended_at) or begin_s) + ahead)
        if span is None:
            continue
        spans = [span]
        if start_s := starts.get((process.name, process.host), {}).get(WHOLE_START):
            start = {"title": "start", "kind": "startup", "seconds": min(start_s, span.seconds)}
            spans.append(span.model_copy(update={**start, "outcome": "", "detail": ""}))
        yield Lane(name=process.name, host=process.host, spans=tuple(spans))


def _life(process: ProcessEnd, begin_s: float, last_s: float) -> Span | None:
    """Return the life of a process; one whose end nobody saw is shown until the night's."""
    started, ended = seconds_at(process.started_at), seconds_at(process.ended_at)
    if started is None:
        return None
    code = "" if process.exit_code is None else f", exit code {process.exit_code}"
    code = f", signal {process.signal}" if process.signal else code
    return Span(
        title=process.name,
        kind="process",
        start_s=_rounded(started - begin_s),
        seconds=_rounded(max(0.0, (ended or last_s) - started)),
        outcome=process.state,
        detail=f"{process.state}{code}",
    )


def _evaluations(run: Run, begin_s: float, ahead_s: Mapping[str, float]) -> Iterator[Lane]:
    hosts = {process.name: process.host for process in run.processes}
    spans: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for each in run.evaluations:
        started, ended = seconds_at(each.started_at), seconds_at(each.ended_at)
        if started is None or ended is None:
            continue
        host = hosts.get(_process_of(each), "")
        problem = next(iter((*each.problems, *each.void)), "")
        shown = Span(
            title=f"{each.benchmark} ({each.tool})",
            kind="evaluation",
            start_s=_rounded(started - begin_s - ahead_s.get(host, 0.0)),
            seconds=_rounded(max(0.0, ended - started)),
            outcome="failed" if each.problems else "void" if each.void else "ok",
            detail=problem,
        )
        spans[each.benchmark, host].append(shown)
    for (benchmark, host), listed in spans.items():
        yield Lane(name=benchmark, host=host, spans=tuple(listed))


def _process_of(evaluation: Evaluation) -> str:
    """Return the process of an evaluation: its folder is `evaluate/<process>/raw`."""
    parts = evaluation.raw.split("/")
    return parts[1] if len(parts) > 1 else evaluation.benchmark


def _ahead_s(run: Run, host: str) -> float:
    """Return how far a host's clock was ahead of the controller's when it was examined."""
    offset_s = facts_of(run, host).get("clock_offset_s")
    return float(offset_s) if isinstance(offset_s, int | float) else 0.0


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
