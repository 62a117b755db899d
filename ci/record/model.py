"""Define the model of run.json, the record of a run. Pure.

Raise `VERSION` with every change that an older reader would misread.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ci.case.judging import Judging
from ci.case.metric_entry import MetricEntry, by_figure
from ci.case.model import Comparison
from ci.explain.explanation import Explanation
from ci.inventory.target import LoginHost, Target
from ci.judge.verdict import Check, Outcome
from ci.tools.model import Item, Measurement, Pass

VERSION = 2

Purpose = Literal["night", "control", "again", "against-itself", "bisect", "smoke"]


class Part(BaseModel):
    """A part of a record: frozen, strict about types, refuses unknown keys and infinite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Cause(Part):
    """The error that ended a night early, and the last lines of its process's log."""

    kind: str
    message: str
    process: str | None = None
    tail: tuple[str, ...] = ()


class Controller(Part):
    """The process that ran the night; its identity is unique across reboots."""

    host: str
    pid: int
    boot_id: str
    start_ticks: int


class StepEntry(Part):
    """A step: its duration, and what it waited for."""

    name: str
    waits_for: Literal["own", "server", "tool", "queue"]
    started_at: str
    seconds: float | None = Field(description="null while it runs")
    outcome: Literal["running", "ok", "failed"]
    detail: str


class SlurmJob(Part):
    """The job that has the hosts of the run."""

    job: int = Field(description="its number")
    own: bool = Field(description="submitted by this run; false for the job in which it ran")
    login: LoginHost | None = Field(description="where Slurm's commands ran; null: the controller")
    state: str = Field(description="the last state that was seen before the night")
    partition: str
    nodes: tuple[str, ...] = Field(description="empty until Slurm has given them")
    ends_at: str = Field(description="when Slurm ends it; empty if unknown")
    released: bool = Field(description="whether this run has cancelled it at its end")


class Environment(Part):
    """The packages of an environment on a host; null if unknown."""

    version: str | None = Field(description="version of vLLM, or of the tool, in the environment")
    packages: int | None
    hash: str | None
    list: str | None = Field(description="file in the run's folder with every package")


class EnvironmentChanges(Part):
    """The changes of packages since the last night of the same case."""

    since: str = Field(description="id of that run")
    count: int
    shown: tuple[str, ...]
    all: str = Field(description="file in the run's folder with every change")


class Changed(Part):
    """A variable that differs from the last good night."""

    variable: str = Field(description="e.g. vLLM, flags, driver")
    text: str = Field(description="its first changes, each as `old → new`")


class SinceGood(Part):
    """What is known to have changed since the last good night of the same case."""

    run: str = Field(description="id of that night")
    side: str = Field(
        description="what the night probably failed on: product, environment, configuration or "
        "tool; its variables come first"
    )
    count: int = Field(description="number of variables that differ; 0 if none is known to")
    shown: tuple[Changed, ...]
    not_known: tuple[str, ...] = Field(
        default=(), description="variables that one of the nights does not know"
    )
    compare: str = Field(description="command that shows all of it")


class ProcessEnd(Part):
    """The end of a process of the run."""

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
    """The part of a benchmark that the judge needs."""

    name: str
    case_type: Literal["accuracy", "performance"]
    baseline: float | None = None
    threshold: float | None = None
    without_router: bool = Field(
        default=False, description="whether it was also measured without the router"
    )
    metrics: dict[str, MetricEntry] = Field(
        default={}, description="further figures that are judged → baseline and threshold"
    )

    @property
    def further(self) -> dict[str, MetricEntry]:
        """Return the figures to judge besides the main one, by their names in results."""
        return by_figure(self.metrics)

    @property
    def expected(self) -> tuple[float, float] | None:
        """Return baseline and threshold; None if the case has none yet."""
        if self.baseline is None or self.threshold is None:
            return None
        return self.baseline, self.threshold


class DatasetEntry(Part):
    """The questions of a benchmark."""

    name: str
    form: str
    items: int
    digest: str = Field(description="first 16 digits of the SHA-256 of its files")
    made: str | None = Field(
        default=None,
        description="how the prompts were made from these files; null if they are them",
    )


class Settings(Part):
    """The settings of an evaluation: those of the case, and the tool's own."""

    tool_version: str | None = Field(description="null if the host's own tool was used")
    model: str = Field(description="the model's name in the requests")
    url: str = Field(description="base URL of the requests")
    num_prompts: int | None = Field(description="number of items; null: the whole dataset")
    max_out_len: int = Field(description="maximum number of tokens of an answer")
    batch_size: int = Field(description="maximum number of concurrent requests")
    request_rate: float = Field(description="requests per second; 0 means as fast as possible")
    temperature: float | None = Field(description="null: the tool's default")
    seed: int | None = Field(description="null: the tool's default")
    sampling: dict[str, Any] = Field(description="the parameters of every request")
    request_conf: str | None
    dataset_conf: str | None
    dataset: DatasetEntry | None = Field(description="null if the tool generates its prompts")
    tokenizer: str | None = Field(description="folder or name of the tool's tokenizer")
    deadline_s: float
    passes: int = Field(default=1, description="how often the night asks the whole benchmark")
    passes_auto: bool = Field(
        default=False, description="whether `repeats: auto` of the case chose the number"
    )
    argv: tuple[str, ...]


class Evaluation(Part):
    """The result of one benchmark."""

    benchmark: str
    tool: str
    started_at: str | None = Field(
        description="start of the tool by its host's clock; UTC, ISO 8601"
    )
    ended_at: str | None
    settings: Settings | None = Field(description="null in a record of version 1")
    measurements: tuple[Measurement, ...]
    problems: tuple[str, ...] = Field(description="if not empty, its figures are not judged")
    void: tuple[str, ...] = Field(
        default=(),
        description="what disturbed the hosts meanwhile; if not empty, its figures of performance "
        "are not judged against a baseline",
    )
    n_items: int
    items: str | None = Field(
        description="file in the run's folder with one item per line, as JSON; pass after pass"
    )
    raw: str = Field(description="folder in the run's folder with the tool's output")
    passes: tuple[Pass, ...] = Field(
        default=(), description="the passes that were asked; empty if it is asked once"
    )


class Startup(Part):
    """How long the phases of a server's start took, by its own log."""

    process: str
    host: str
    seconds: dict[str, float] = Field(
        description="phase → seconds: weights, model_load, compile, profiling, graph_capture, "
        "warm_up, engine_init, and api from the first line to the API; they overlap"
    )


class Items(Part):
    """The lines of an items.jsonl."""

    items: tuple[Item, ...]


class FunctionalResult(Part):
    """The outcome of one functional case; functional.json has its proof."""

    id: str
    ok: bool = Field(description="passed, or failed as known; false if it was skipped")
    outcome: Literal["passed", "failed", "skipped", "known"]
    error: str | None = Field(description="the first failed assertion, or why it was skipped")


class FunctionalReport(Part):
    """The functional cases of one type."""

    summary: dict[str, int] = Field(description="total, passed, failed, skipped, known")
    results: tuple[FunctionalResult, ...]


class Run(Part):
    """A run of Lamplighter; run.json in the run's folder, written from the start of the run."""

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
    purpose: Purpose = Field(
        default="night",
        description="control: the last good version, measured beside a suspect of another run; "
        "again: tonight's version once more after it; against-itself: the second of two nights "
        "with the same version; bisect: a night of `inv bisect`; smoke: the proof that a host "
        "serves again. None of them counts as a night",
    )
    night: str = Field(default="", description="id of the run that it belongs to; empty if none")
    beside: tuple[str, ...] = Field(
        default=(), description="ids of the runs that belong to it, with other servers"
    )
    run_type: str = Field(
        default="", description="daily, weekly, pr or another; empty for a night of its own"
    )
    suite: str = Field(default="", description="name of the suite that it is of; empty if none")
    cluster: str = Field(
        default="", description="name of the cluster file; empty for the case's own hosts"
    )
    command: str = Field(description="command line; it runs the night again in `folder`")
    folder: str
    user: str
    controller: Controller
    started_at: str = Field(description="UTC, ISO 8601, like all times here")
    ended_at: str | None = None
    benchmarks: tuple[Benchmark, ...] | None = Field(
        default=None, description="empty if the case has none; null while they are unknown"
    )
    judge: Judging = Field(
        default=Judging(), description="how the case wants its figures to be judged"
    )
    comparisons: tuple[Comparison, ...] = Field(
        default=(), description="pairs of figures that the case compares"
    )
    proved: tuple[Check, ...] = Field(
        default=(), description="checks besides the benchmarks, e.g. the smoke test"
    )
    functional_report: dict[str, FunctionalReport] = Field(
        default={}, description="type of case → results of the functional suite"
    )
    checks: tuple[Check, ...] = Field(default=(), description="all checks of the verdict")
    evaluations: tuple[Evaluation, ...] = ()
    targets: tuple[Target, ...] = Field(
        default=(), description="addresses and SSH settings of the hosts"
    )
    slurm: SlurmJob | None = Field(
        default=None, description="the job that has the hosts; null if Slurm has none of them"
    )
    hosts: dict[str, dict[str, Any]] = Field(
        default={}, description="host → facts that the host reported"
    )
    environments: dict[str, dict[str, Environment]] = Field(
        default={}, description="host → environment → its packages"
    )
    environment_changes: EnvironmentChanges | None = None
    since_good: SinceGood | None = Field(
        default=None,
        description="what changed since the last good night, if this one is not a pass; null if "
        "there was none",
    )
    processes: tuple[ProcessEnd, ...] = ()
    startup: tuple[Startup, ...] = Field(
        default=(), description="the servers whose logs tell how they started"
    )
    startup_figures: tuple[Measurement, ...] = Field(
        default=(),
        description="startup_<phase>_s: of each phase, the slowest server's; lower is better",
    )
    startup_metrics: dict[str, MetricEntry] = Field(
        default={}, description="those of them that are judged → baseline and threshold"
    )
    kept_s: float = Field(
        default=0, description="how long the servers continue after the run; 0 if they were stopped"
    )
    kept_url: str = Field(default="", description="endpoint of the servers that continued")
    kept_until: str | None = Field(
        default=None, description="when they end by themselves, or when `inv down` ended them"
    )
    survivors: tuple[str, ...] = Field(
        default=(), description="processes that the run started and could not end"
    )
    left_over: tuple[str, ...] = Field(
        default=(),
        description="what was still in use on the hosts after the run: ports, shared memory, "
        "memory of devices",
    )
    versions: dict[str, str] = {}
    git_commit: str | None = None
    seconds: float = 0.0
    server_s: float = Field(default=0.0, description="seconds that servers took to start")
    tool_s: float = Field(default=0.0, description="seconds that tools took")
    overhead_s: float = Field(default=0.0, description="seconds that Lamplighter itself took")
    steps: tuple[StepEntry, ...] = ()
    record_failure: str | None = Field(
        default=None, description="the first file that could not be written"
    )
