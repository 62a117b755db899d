"""Define the job, command, output and result of an evaluation tool."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, Protocol

from ci.documents.address import url_of
from ci.documents.json_text import bound_values, read_json
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.case.benchmark import Benchmark


@dataclass(frozen=True)
class Job:
    """A tool's job. Paths are absolute and on the tool's host.

    Attributes:
        benchmark: the case's entry.
        dataset: the questions; `path` is a folder with the data in the dataset's own form.
        endpoint: receives the requests.
        tokenizer: folder of the tokenizer, the served model's unless the case names another;
            performance runs need it.
        bin: folder of the tool's executables; empty to use the host's PATH.
        work: the tool's own folder, empty at the start; its content is kept.
        vllm: the version of vLLM, if the tool is vLLM's own; empty if unknown.
    """

    benchmark: Benchmark
    dataset: Dataset
    endpoint: Endpoint
    tokenizer: str
    bin: str
    work: str
    vllm: str = ""

    def program(self, name: str) -> str:
        """Return the path of an executable; only its name if the host's PATH is used."""
        return f"{self.bin}/{name}" if self.bin else name

    @property
    def expected_items(self) -> int:
        """Return the number of items of a complete run; 0 if unknown."""
        return items_asked(self.benchmark, self.dataset)


def items_asked(benchmark: Benchmark, dataset: Dataset) -> int:
    """Return the number of items of a complete run; 0 if unknown."""
    if dataset.sets > 1:  # AISBench takes num_prompts for the number of each set
        return 0
    wanted = benchmark.num_prompts
    if wanted is None or dataset.items == 0 or dataset.place == "none":
        return wanted or dataset.items
    return min(wanted, dataset.items)


@dataclass(frozen=True)
class Command:
    """A tool's command line: argv, environment, and the files to write into `work` first.

    Its current folder is `work`, so that a tool may leave temporary files there.

    Attributes:
        sampling: the parameters of every request, including the tool's defaults; for the record.
        tokenizer: the tokenizer that the tool uses; empty if it needs none.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: str = ""


@dataclass(frozen=True)
class Output:
    """A tool's output: exit code, path relative to `work` → content of files, log."""

    exit_code: int | None
    files: Mapping[str, str]
    log: str = ""

    def find(self, pattern: str) -> str | None:
        """Return the text of the last file that matches; None if there is none."""
        names = sorted(name for name in self.files if fnmatchcase(name, pattern))
        return self.files[names[-1]] if names else None

    def text(self, pattern: str) -> str:
        """Return the text of the last file that matches.

        Raises:
            Unreadable: no file matches.
        """
        text = self.find(pattern)
        if text is None:
            raise Unreadable(f"the tool wrote no {pattern}; see its log")
        return text

    def object(self, pattern: str) -> dict[str, Any]:
        """Read a file with one JSON object, or raise Unreadable."""
        return _object(_readable(read_json, self.text(pattern), pattern), pattern)

    def rows(self, pattern: str) -> tuple[dict[str, Any], ...]:
        """Read a file with one JSON object per line, or raise Unreadable."""
        text = self.text(pattern)
        _readable(bound_values, text, pattern)
        # Not `splitlines`: strings in JSON may contain other line ends, such as U+2028.
        lines = (line for line in text.split("\n") if line.strip())
        return tuple(_object(_readable(read_json, line, pattern), pattern) for line in lines)


@dataclass(frozen=True)
class Item:
    """The outcome of one question; None for unknown values.

    Attributes:
        id: the tool's own id, unique in a run.
        prompt_digest: digest of the prompt; see `ci.tools.prompt`.
        correct: whether the answer is correct.
        tokens: number of tokens of the answer.
        latency_ms: from the request to the end of its answer.
        finish_reason: why the answer ended, as the server reports it.
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
    """The result of a job. Its figures are not judged if there are problems.

    Attributes:
        started_at: when the tool started, by its host's clock: UTC, ISO 8601; None if unknown.
        ended_at: when it ended.
    """

    measurements: tuple[Measurement, ...] = ()
    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None


class Tool(Protocol):
    """The interface of a tool's module in this package."""

    ENVIRONMENT: str
    KINDS: frozenset[str]
    OUTPUTS: tuple[str, ...]

    def command(self, job: Job) -> Command:
        """Build the command line. Pure."""

    def parse(self, job: Job, output: Output) -> Result:
        """Parse the output. Pure; never raises for bad output, but reports problems."""


class Unreadable(InfrastructureError):  # noqa: N818 - describes the file
    """A tool's file is missing or invalid; the message names it."""


def _readable(reader: Callable[[str], object], text: str, name: str) -> object:
    try:
        return reader(text)
    except ValueError as error:
        raise Unreadable(f"{name} is not JSON ({error}); see the tool's log") from error


def _object(value: object, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unreadable(
            f"{name}: expected a JSON object, found {type(value).__name__}; see the tool's log"
        )
    return value


def number(value: object, what: str) -> float:
    """Convert a finite number, or raise Unreadable."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MAX_EXACT_INT:
        raise Unreadable(
            f"{what} is a whole number of {value.bit_length()} bits; no real figure is that large"
        )
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{what} is {shortened(value)}, not a number")
    return float(value)


def shortened(value: object) -> str:
    """Write a value of a tool's file for a message, shortened."""
    text = repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]} …"


# Larger whole numbers are not exact as floats, and no real count is that large.
MAX_EXACT_INT = 1 << 53
SHOWN_CHARS = 100
# Errors that parsing an invalid file may raise.
UNREADABLE = (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, csv.Error)


def read(
    job: Job,
    output: Output,
    reader: Callable[[Job, Output, list[str]], Result],
) -> Result:
    """Parse a tool's output with `reader`; errors become problems of the result.

    Args:
        job: the tool's job.
        output: its output.
        reader: appends problems to the list that it gets, and may raise Unreadable.
    """
    problems: list[str] = []
    if output.exit_code != 0:
        end = "was killed" if output.exit_code is None else f"exited with {output.exit_code}"
        last = next((line for line in reversed(output.log.splitlines()) if line.strip()), "no log")
        problems.append(f"{job.benchmark.tool} {end}: {last.strip()[:300]}")
    try:
        result = reader(job, output, problems)
    except Unreadable as error:
        return Result(problems=(*problems, str(error)))
    # Whatever the tool wrote: only this benchmark is unknown, the others continue.
    except UNREADABLE as error:
        problem = f"its output cannot be parsed: {type(error).__name__}: {error}"
        return Result(problems=(*problems, problem))
    return Result(result.measurements, result.items, (*problems, *result.problems))


@dataclass(frozen=True)
class Endpoint:
    """The API that receives the evaluations' requests, and the model's name in it."""

    host: str
    port: int
    model: str
    scheme: str = "http"

    @property
    def url(self) -> str:
        """Return the base URL, without a path."""
        return url_of(self.host, self.port, self.scheme)


@dataclass(frozen=True)
class Dataset:
    """A benchmark's questions.

    Attributes:
        path: the folder on the controller; None if the dataset is missing.
        form: its format, e.g. gsm8k; empty if unknown.
        items: the number of questions; 0 if unknown.
        sets: number of datasets that a dataset_conf takes from it, e.g. one for each subject.
        opens: the files that a dataset_conf opens; see `ci.remote.layout.find`.
        place: `controller`; `host` if `path` is a folder of the tool's host; `none` if the tool
            makes up its prompts; `made` if `path` has the questions that the prompts are made from.
        made: how the prompts were made; empty if they were not.
    """

    name: str
    path: str | None
    form: str
    items: int
    sets: int = 1
    opens: tuple[str, ...] = ()
    place: Literal["controller", "host", "none", "made"] = "controller"
    made: str = ""
