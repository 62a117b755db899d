"""The values between a benchmark and its figures."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Protocol

from ci.documents.address import url_of
from ci.documents.json_text import bound_values, read_json
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.case.benchmark import Benchmark


@dataclass(frozen=True)
class Job:
    """What a tool is asked to do. Paths are absolute and on the host where the tool runs.

    Attributes:
        benchmark: the case's entry.
        dataset: what to ask; `path` is a folder holding the data in the dataset's own form.
        endpoint: where to ask it.
        tokenizer: folder of the served model's tokenizer; performance runs need it.
        bin: folder of the tool's executables; empty leaves them to the host's PATH.
        work: an empty folder of the tool's own; everything left in it is kept.
        vllm: the version of the tool where that is vLLM's own; empty where it is not known.
    """

    benchmark: Benchmark
    dataset: Dataset
    endpoint: Endpoint
    tokenizer: str
    bin: str
    work: str
    vllm: str = ""

    def program(self, name: str) -> str:
        """The tool's executable; without an environment of ours the host's PATH finds it."""
        return f"{self.bin}/{name}" if self.bin else name

    @property
    def expected_items(self) -> int:
        """How many items a complete run has; 0 where neither case nor dataset tells."""
        return items_asked(self.benchmark, self.dataset)


# These make their own prompts, as many as asked; of the others none asks an item twice.
MAKES_PROMPTS = frozenset({"vllm_bench"})


def items_asked(benchmark: Benchmark, dataset: Dataset) -> int:
    """How many items a complete run has; 0 where neither case nor dataset tells."""
    wanted = benchmark.num_prompts
    if wanted is None or dataset.items == 0 or benchmark.tool in MAKES_PROMPTS:
        return wanted or dataset.items
    return min(wanted, dataset.items)


@dataclass(frozen=True)
class Command:
    """A tool's command line: argv, environment, and the files to write into `work` first.

    It is run with `work` as its current folder, where a tool may leave temporary files.

    Attributes:
        sampling: the parameters that every request carries, the tool's defaults among them; for
            the record.
        tokenizer: what the tool was given; empty where it needs none.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""


@dataclass(frozen=True)
class Output:
    """What a tool left: its exit code, its files by path relative to `work`, its log."""

    exit_code: int | None
    files: Mapping[str, str]
    log: str = ""

    def find(self, pattern: str) -> str | None:
        """Return the text of the last file that matches, None where there is none."""
        found = sorted(name for name in self.files if fnmatchcase(name, pattern))
        return self.files[found[-1]] if found else None

    def text(self, pattern: str) -> str:
        """Return the text of the last file that matches.

        Raises:
            Unreadable: there is none.
        """
        text = self.find(pattern)
        if text is None:
            raise Unreadable(f"the tool left no {pattern}; see its log")
        return text

    def object(self, pattern: str) -> dict[str, Any]:
        """Read a file that holds one JSON object, or raise Unreadable."""
        return _object(_readable(read_json, self.text(pattern), pattern), pattern)

    def rows(self, pattern: str) -> tuple[dict[str, Any], ...]:
        """Read a file that holds one JSON object a line, or raise Unreadable."""
        text = self.text(pattern)
        _readable(bound_values, text, pattern)
        # Not `splitlines`: JSON's strings may hold other line ends, such as U+2028.
        lines = (line for line in text.split("\n") if line.strip())
        return tuple(_object(_readable(read_json, line, pattern), pattern) for line in lines)


@dataclass(frozen=True)
class Item:
    """One question's outcome; None where the tool does not tell.

    Attributes:
        id: the tool's own, unique in a run.
        prompt_digest: of what was asked; see `ci.tools.prompt`.
        correct: whether the answer is right.
        tokens: of the answer.
        latency_ms: from the request to the end of its answer.
        finish_reason: why the answer ended, as the server says.
    """

    id: str
    prompt_digest: str | None = None
    correct: bool | None = None
    tokens: int | None = None
    latency_ms: float | None = None
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
    """What came of a job. With a problem in it, its figures are not to be judged.

    Attributes:
        started_at: when the tool was started, by its host's clock: UTC, ISO 8601; None where that
            is not known.
        ended_at: when it ended.
    """

    measurements: tuple[Measurement, ...] = ()
    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None


class Tool(Protocol):
    """What a module in this package offers to be an evaluation tool."""

    ENVIRONMENT: str
    KINDS: frozenset[str]
    OUTPUTS: tuple[str, ...]

    def command(self, job: Job) -> Command:
        """Build the command line. Pure."""

    def parse(self, job: Job, output: Output) -> Result:
        """Read what the tool left. Pure; never raises on bad output: it becomes a problem."""


class Unreadable(InfrastructureError):  # noqa: N818 - says what a tool's file is
    """A file that a tool left is missing or not what it should be; the message says which."""


def _readable(reader: Callable[[str], object], text: str, name: str) -> object:
    try:
        return reader(text)
    except ValueError as error:
        raise Unreadable(f"{name} is not JSON ({error}); see the tool's log") from error


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(f"{name} holds {type(value).__name__} where an object is expected")
    return value


def number(value: object, what: str) -> float:
    """Take a finite number that is no bool, or raise Unreadable."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MOST:
        raise Unreadable(
            f"{what} is a whole number of {value.bit_length()} bits; nothing is so much"
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{what} is {shortened(value)}, not a number")
    return float(value)


def shortened(value: object) -> str:
    """Show a value of a tool's file in a message, however long it is."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


# Whole numbers above it are no exact floats, and no count of anything here.
MOST = 1 << 53
SHOWN_CHARS = 100
# How a file that is not what it should be shows in the code that takes it apart.
UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, csv.Error)


def read(
    job: Job,
    output: Output,
    reader: Callable[[Job, Output, list[str]], Result],
) -> Result:
    """Let `reader` read what a tool left; whatever speaks against it becomes a problem.

    Args:
        job: what was asked.
        output: what the tool left.
        reader: gets a list to append problems to, and may raise Unreadable.
    """
    problems: list[str] = []
    if output.exit_code != 0:
        how = "was killed" if output.exit_code is None else f"exited with {output.exit_code}"
        last = next((line for line in reversed(output.log.splitlines()) if line.strip()), "no log")
        problems.append(f"{job.benchmark.tool} {how}: {last.strip()[:300]}")
    try:
        result = reader(job, output, problems)
    except Unreadable as error:
        return Result(problems=(*problems, str(error)))
    # Whatever else a tool wrote there: one benchmark is unknown, the others go on.
    except UNREADABLE as error:
        why = f"its output cannot be read: {type(error).__name__}: {error}"
        return Result(problems=(*problems, why))
    return Result(result.measurements, result.items, (*problems, *result.problems))


@dataclass(frozen=True)
class Endpoint:
    """Where the evaluations send their requests, and the model name that they ask for."""

    host: str
    port: int
    model: str

    @property
    def url(self) -> str:
        """Base URL without a path."""
        return url_of(self.host, self.port)


@dataclass(frozen=True)
class Dataset:
    """A benchmark's questions. `path` is the folder on the controller, None where not found.

    What is not found may still be known by its name: its `form`, empty where it is not, and items.
    """

    name: str
    path: str | None
    form: str
    items: int
