"""The values between a benchmark and its figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Benchmark
    from ci.plan.model import Dataset, Endpoint


@dataclass(frozen=True)
class Job:
    """What a tool is asked to do. Paths are absolute and on the host where the tool runs.

    Attributes:
        benchmark: the case's entry.
        dataset: what to ask; `path` is a folder holding the data in the dataset's own form.
        endpoint: where to ask it.
        tokenizer: folder of the served model's tokenizer; performance runs need it.
        bin: folder of the tool's executables.
        work: an empty folder of the tool's own; everything left in it is kept.
    """

    benchmark: Benchmark
    dataset: Dataset
    endpoint: Endpoint
    tokenizer: str
    bin: str
    work: str

    @property
    def expected_items(self) -> int:
        """How many items a complete run has."""
        wanted = self.benchmark.num_prompts
        if wanted is None or self.dataset.items == 0:
            return wanted or self.dataset.items
        return min(wanted, self.dataset.items)


@dataclass(frozen=True)
class Command:
    """A tool's command line: argv, environment, and the files to write into `work` first."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """What a tool left: its exit code, its files by path relative to `work`, its log."""

    exit_code: int | None
    files: Mapping[str, str]
    log: str = ""


@dataclass(frozen=True)
class Item:
    """One question's outcome; None where the tool does not tell."""

    id: str
    correct: bool | None = None
    tokens: int | None = None
    finish_reason: str | None = None


@dataclass(frozen=True)
class Measurement:
    """One figure: accuracy in percent, throughput in tok/s, latencies in ms."""

    benchmark: str
    metric: str
    value: float
    unit: str
    n: int
    items: str | None
    source: str


@dataclass(frozen=True)
class Result:
    """What came of a job. With a problem in it, its figures are not to be judged."""

    measurements: tuple[Measurement, ...] = ()
    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()


class Tool(Protocol):
    """What a module in this package offers to be an evaluation tool."""

    ENVIRONMENT: str
    KINDS: frozenset[str]
    OUTPUTS: tuple[str, ...]

    def command(self, job: Job) -> Command:
        """Build the command line. Pure."""

    def parse(self, job: Job, output: Output) -> Result:
        """Read what the tool left. Pure; never raises on bad output: it becomes a problem."""
