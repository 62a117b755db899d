"""Write the timeline of a run for Perfetto and chrome://tracing. Pure.

The format is Chrome's Trace Event Format: complete events (`X`), counters (`C`), instants (`i`) and
the names of processes and threads (`M`); times are microseconds.
https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.record.page import Timeline

CONTROLLER = "controller"
_US = 1_000_000


def as_trace(timeline: Timeline) -> str:
    """Write a timeline as the text of trace.json: a process per host, a thread per lane."""
    events = list(_events(timeline))
    return json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}, ensure_ascii=False) + "\n"


def _events(timeline: Timeline) -> Iterator[dict[str, Any]]:
    hosts = [lane.host or CONTROLLER for lane in timeline.lanes]
    hosts += [load.host for load in timeline.loads]
    numbers = {host: number for number, host in enumerate(dict.fromkeys(hosts), 1)}
    for host, number in numbers.items():
        yield _name("process_name", number, 0, host)
    for thread, lane in enumerate(timeline.lanes, 1):
        process = numbers[lane.host or CONTROLLER]
        yield _name("thread_name", process, thread, lane.name)
        for span in lane.spans:
            yield {
                "ph": "X",
                "name": span.title,
                "cat": span.kind,
                "pid": process,
                "tid": thread,
                "ts": round(span.start_s * _US),
                "dur": round(span.seconds * _US),
                "args": {"outcome": span.outcome, "detail": span.detail},
            }
    for mark in timeline.marks:
        yield {
            "ph": "i",
            "s": "g",
            "name": mark.text,
            "cat": "note",
            "pid": numbers.get(CONTROLLER, 0),
            "tid": 1,
            "ts": round(mark.at_s * _US),
        }
    for load in timeline.loads:
        for at_s, percent in load.points:
            yield {
                "ph": "C",
                "name": load.what,
                "pid": numbers[load.host],
                "ts": round(at_s * _US),
                "args": {"percent": percent},
            }


def _name(kind: str, process: int, thread: int, text: str) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": process, "tid": thread, "args": {"name": text}}
