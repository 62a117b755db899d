"""Define what the page of a run shows: the content of report.json. Pure.

Raise `VERSION` with every change that a reader of report.json would misread. Times are seconds on
one clock, the controller's: those of hosts are corrected by how far their clocks were ahead.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from ci.judge.verdict import Outcome  # noqa: TC001 - pydantic reads it
from ci.record.model import Cause, FunctionalResult, Part, SinceGood

VERSION: Literal[1] = 1

Kind = Literal["step", "process", "startup", "evaluation"]


class Action(Part):
    """Something that a reader should do, the most urgent first."""

    text: str
    command: str = Field(default="", description="to paste into a shell; empty if there is none")


class FirstError(Part):
    """The first error in time, with the lines of its log around it."""

    process: str
    host: str
    kind: str = Field(default="", description="class of the cause; empty if it is not known")
    side: str = Field(default="", description="environment, configuration, product or tool")
    cause: str
    file: str = Field(default="", description="the log in the run's folder; empty if not found")
    first_line: int = Field(default=1, description="number of the first of these lines")
    line: int = Field(default=0, description="number of the line with the error; 0 if not found")
    lines: tuple[str, ...] = ()


class Past(Part):
    """A figure of an earlier night."""

    run: str
    started_at: str
    value: float
    outcome: str
    compared: bool = Field(description="whether tonight may be compared with it")


class CheckShown(Part):
    """A check, and the same figure in earlier nights."""

    name: str
    metric: str
    value: float | None
    unit: str
    outcome: Outcome
    reason: str
    baseline: float | None
    source: str
    tolerance: str
    bound: float | None
    operator: str
    interval: tuple[float, float] | None
    smallest_drop: float | None
    p: float | None
    seen: str
    same_as: str
    past: tuple[Past, ...] = Field(default=(), description="the oldest first; the newest 60")


class Span(Part):
    """Something that took time."""

    title: str
    kind: Kind
    start_s: float = Field(description="since the run began")
    seconds: float
    outcome: str = ""
    detail: str = ""


class Lane(Part):
    """A row of the timeline."""

    name: str
    host: str = Field(default="", description="empty for the controller")
    spans: tuple[Span, ...]


class Mark(Part):
    """A note of the night."""

    at_s: float
    text: str


class Load(Part):
    """What a host did while something was measured, in percent."""

    host: str
    what: str = Field(description="e.g. CPU of the servers, CPU of others, CPU stolen, devices")
    points: tuple[tuple[float, float], ...] = Field(
        description="seconds since the run began, and the mean share until the next point"
    )


class Timeline(Part):
    """The whole night on one clock."""

    seconds: float
    lanes: tuple[Lane, ...] = ()
    marks: tuple[Mark, ...] = ()
    loads: tuple[Load, ...] = ()
    corrected: dict[str, float] = Field(
        default={}, description="host → seconds that its clock was ahead, if more than 0.1"
    )


class ItemShown(Part):
    """A question: its outcome tonight, and in the run that it is compared with."""

    id: str
    correct: bool | None
    tokens: int | None
    latency_ms: float | None
    finish_reason: str | None
    flipped: Literal["", "lost", "won"] = Field(
        default="", description="lost: right in the other run and wrong tonight"
    )
    question: str = ""
    expected: str = ""
    answer: str = ""
    before: str = Field(default="", description="the answer of the other run, if it flipped")


class ItemsShown(Part):
    """The items of a benchmark, those that a reader looks for first."""

    benchmark: str
    tool: str
    n_items: int
    compared_with: str = Field(default="", description="id of the other run; empty without one")
    flips: str = Field(default="", description="the paired test in words")
    file: str = Field(default="", description="with every item, in the run's folder")
    rows: tuple[ItemShown, ...] = ()
    with_texts: int = Field(default=0, description="how many rows have their texts here")


class FunctionalShown(Part):
    """The functional cases of one type."""

    type: str
    summary: dict[str, int]
    results: tuple[FunctionalResult, ...] = Field(
        description="those that failed, failed as known, or were skipped"
    )


class ProcessShown(Part):
    """A process of the plan, and how it ended."""

    name: str
    host: str
    role: str
    ended: str = ""
    exit_code: int | None = None
    seconds: dict[str, float] = Field(default={}, description="phase of its start → seconds")
    command: str = Field(description="to paste on its host; secrets are hidden")
    log: str = Field(default="", description="file in the run's folder; empty if not there")


class Row(Part):
    """A name and a text."""

    name: str
    text: str


class MeasurementShown(Part):
    """A figure that was measured."""

    benchmark: str
    metric: str
    value: float
    unit: str
    n: int
    runs: tuple[float, ...] = ()
    source: str


class File(Part):
    """A file in the run's folder."""

    name: str
    size_bytes: int


class Page(Part):
    """The page of a run; report.json in the run's folder, made with report.html."""

    model_config = ConfigDict(title="report.json of Lamplighter", serialize_by_alias=True)

    version: Literal[1] = Field(alias="schema", description="the version of this schema")
    run: str = Field(description="id")
    case: str
    config: str
    outcome: Outcome | Literal["running"]
    headline: str
    exit_code: int | None
    started_at: str = Field(description="UTC, ISO 8601")
    ended_at: str | None
    seconds: float
    server_s: float
    tool_s: float
    overhead_s: float
    user: str
    controller: str
    belongs: str = Field(default="", description="which night this run belongs to, in words")
    beside: tuple[str, ...] = Field(default=(), description="ids of runs that belong to it")
    again: str = Field(description="command line that runs the night again")
    actions: tuple[Action, ...] = Field(description="empty if there is nothing to do")
    cause: Cause | None
    first_error: FirstError | None
    checks: tuple[CheckShown, ...]
    since_good: SinceGood | None
    timeline: Timeline
    items: tuple[ItemsShown, ...]
    functional: tuple[FunctionalShown, ...]
    processes: tuple[ProcessShown, ...]
    measurements: tuple[MeasurementShown, ...]
    problems: tuple[Row, ...]
    settings: tuple[Row, ...]
    environment: tuple[Row, ...]
    changed: str = Field(default="", description="packages that changed since the last night")
    files: tuple[File, ...]
    notes: tuple[str, ...] = Field(default=(), description="what could not be shown, and why")
