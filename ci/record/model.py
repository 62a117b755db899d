"""run.json, typed: what a record of a run holds. Pure.

The version rises with every change that an older reader would misread.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ci.case.model import Comparison
from ci.explain.explanation import Explanation
from ci.inventory.target import Target
from ci.judge.verdict import Check, Outcome
from ci.tools.model import Item, Measurement

VERSION = 2


class Part(BaseModel):
    """A part of a record: frozen, strict about types, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Cause(Part):
    """What ended a night early: an error, and the last lines of the log behind it."""

    kind: str
    message: str
    process: str | None = None
    tail: tuple[str, ...] = ()


class Controller(Part):
    """The process that ran the night, identified so that a reboot does not confuse it."""

    host: str
    pid: int
    boot_id: str
    start_ticks: int


class StepEntry(Part):
    """One step: how long it took, and whom it waited for."""

    name: str
    waits_for: Literal["own", "server", "tool"]
    started_at: str
    seconds: float | None = Field(description="null while it goes on")
    outcome: Literal["running", "ok", "failed"]
    detail: str


class Environment(Part):
    """The packages of one environment on one host; null where they are not known."""

    version: str | None = Field(description="of vLLM or of the tool in it")
    packages: int | None
    hash: str | None
    list: str | None = Field(description="file of the run's folder with every package")


class EnvironmentChanges(Part):
    """How what is installed differs from the last night of the same case."""

    since: str = Field(description="id of that run")
    count: int
    shown: tuple[str, ...]
    all: str = Field(description="file of the run's folder with every difference")


class ProcessEnd(Part):
    """How a process of the run has ended."""

    name: str
    host: str
    state: str
    exit_code: int | None = None
    signal: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    pid: int | None = None
    survivors: tuple[int, ...] = ()
    killed: int = 0
    escalated: bool = False
    complete: bool = False


class Benchmark(Part):
    """A benchmark of the case, as far as the judge needs it."""

    name: str
    case_type: Literal["accuracy", "performance"]
    baseline: float | None = None
    threshold: float | None = None

    @property
    def expected(self) -> tuple[float, float] | None:
        """The baseline and its threshold; None where the case has none yet."""
        if self.baseline is None or self.threshold is None:
            return None
        return self.baseline, self.threshold


class DatasetEntry(Part):
    """The questions that a benchmark asks."""

    name: str
    form: str
    items: int
    digest: str = Field(description="SHA-256 of its files, the first 16 digits")


class Settings(Part):
    """With what settings a benchmark was run: the case's, and what the tool makes of them."""

    tool_version: str | None = Field(description="null where the host's own tool was used")
    model: str = Field(description="the name that the requests ask for")
    url: str = Field(description="where they were sent")
    num_prompts: int | None = Field(description="items asked; null: all of the dataset")
    max_out_len: int = Field(description="the most tokens of an answer")
    batch_size: int = Field(description="requests in flight at once")
    request_rate: float = Field(description="requests per second; 0 for as fast as possible")
    temperature: float | None = Field(description="null: the tool's default")
    seed: int | None = Field(description="null: the tool's default")
    sampling: dict[str, Any] = Field(description="the parameters that every request carries")
    request_conf: str | None
    dataset_conf: str | None
    dataset: DatasetEntry | None = Field(description="null where the tool makes its own prompts")
    tokenizer: str | None = Field(description="that the tool was given")
    deadline_s: float
    argv: tuple[str, ...]


class Evaluation(Part):
    """The result of one benchmark."""

    benchmark: str
    tool: str
    started_at: str | None = Field(description="of the tool, by its host's clock; UTC, ISO 8601")
    ended_at: str | None
    settings: Settings | None = Field(description="null in a record of version 1")
    measurements: tuple[Measurement, ...]
    problems: tuple[str, ...] = Field(description="when not empty, its figures are not judged")
    n_items: int
    items: str | None = Field(description="file of the run's folder: one item a line, as JSON")
    raw: str = Field(description="folder of the run's folder with what the tool left")


class Items(Part):
    """The lines of an items.jsonl."""

    items: tuple[Item, ...]


class Run(Part):
    """A run of Lamplighter, as run.json in its folder has it, from its first second on."""

    model_config = ConfigDict(title="run.json of Lamplighter", serialize_by_alias=True)

    version: Literal[2] = Field(alias="schema", description="the version of this schema")
    id: str
    outcome: Outcome | Literal["running"]
    exit_code: int | None = None
    cause: Cause | None = None
    explanation: Explanation | None = Field(
        default=None, description="the first cause in the logs, of a night that is unknown"
    )
    case: str
    config: str = Field(description="path of the case file")
    command: str = Field(description="runs the night again, in `folder`")
    folder: str
    user: str
    controller: Controller
    started_at: str = Field(description="UTC, ISO 8601, as all times here")
    ended_at: str | None = None
    benchmarks: tuple[Benchmark, ...] | None = Field(
        default=None, description="empty for a case without any; null while they are not known"
    )
    comparisons: tuple[Comparison, ...] = Field(
        default=(), description="pairs of figures that the case compares"
    )
    proved: tuple[Check, ...] = Field(
        default=(), description="what was checked besides the benchmarks, e.g. that it answers"
    )
    checks: tuple[Check, ...] = Field(default=(), description="the verdict's, all of them")
    evaluations: tuple[Evaluation, ...] = ()
    targets: tuple[Target, ...] = Field(default=(), description="how the hosts are reached")
    hosts: dict[str, dict[str, Any]] = Field(
        default={}, description="host → its facts, as the host reported them"
    )
    environments: dict[str, dict[str, Environment]] = Field(
        default={}, description="host → environment → what is installed"
    )
    environment_changes: EnvironmentChanges | None = None
    processes: tuple[ProcessEnd, ...] = ()
    kept_s: float = Field(
        default=0, description="how long everything runs on after the run; 0 where it was stopped"
    )
    survivors: tuple[str, ...] = Field(
        default=(), description="what the run started and could not end"
    )
    versions: dict[str, str] = {}
    git_commit: str | None = None
    seconds: float = 0.0
    server_s: float = Field(default=0.0, description="seconds that servers took to start")
    tool_s: float = Field(default=0.0, description="seconds that tools took")
    overhead_s: float = Field(default=0.0, description="seconds that are our own")
    steps: tuple[StepEntry, ...] = ()
    record_failure: str | None = Field(
        default=None, description="the first file that could not be written"
    )
