"""Define the job, command, output and result of an evaluation tool."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ci.documents.address import url_of

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        cache_salt: the `cache_salt` of every request: the server reuses the KV cache only of
            requests with the same. Empty to send none.
        number: which pass of the benchmark it is, from 1.
    """

    benchmark: Benchmark
    dataset: Dataset
    endpoint: Endpoint
    tokenizer: str
    bin: str
    work: str
    vllm: str = ""
    cache_salt: str = ""
    number: int = 1

    @property
    def seed(self) -> int | None:
        """Return the seed of the requests; None if the case has none.

        Each pass has one of its own: with the same, all passes would have the same answers.
        """
        return self.seed_after(self.benchmark.seed)

    def seed_after(self, first: int | None) -> int | None:
        """Return the seed of the requests, where the first pass has this one."""
        return None if first is None else first + self.number - 1

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
    """One figure: accuracy in percent, throughput in tok/s, latencies in ms.

    Attributes:
        runs: the figure of each pass, if the benchmark was asked several times.
    """

    benchmark: str
    metric: str
    value: float
    unit: str
    n: int
    items: str | None
    source: str
    runs: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pass:
    """One pass of a benchmark that a night asks several times.

    Attributes:
        process: the name of its tool's process.
        started_at: when the tool started, by its host's clock: UTC, ISO 8601; None if unknown.
        ended_at: when it ended.
        n_items: number of its items.
        raw: folder of the tool's output in the run's folder.
    """

    process: str
    started_at: str | None
    ended_at: str | None
    n_items: int
    raw: str


@dataclass(frozen=True)
class Result:
    """The result of a job. Its figures are not judged if there are problems.

    Attributes:
        void: why its figures of performance say nothing about the servers, as of `ci.judge.void`.
        started_at: when the tool started, by its host's clock: UTC, ISO 8601; None if unknown.
        ended_at: when it ended.
        passes: those that were asked; empty if the benchmark is asked once.
    """

    measurements: tuple[Measurement, ...] = ()
    items: tuple[Item, ...] = ()
    problems: tuple[str, ...] = ()
    started_at: str | None = None
    ended_at: str | None = None
    void: tuple[str, ...] = ()
    passes: tuple[Pass, ...] = ()


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
        opens: the files that a dataset_conf opens; see `ci.tool_side.layout.find`.
        place: `controller`; `host` if `path` is a folder of the tool's host; `none` if the tool
            makes up its prompts; `made` if `path` has the questions that the prompts are made from.
        made: how the prompts were made; empty if they were not.
        lacks: a path that its folder lacks and that the tool may find elsewhere on its host; empty
            if there is none.
    """

    name: str
    path: str | None
    form: str
    items: int
    sets: int = 1
    opens: tuple[str, ...] = ()
    place: Literal["controller", "host", "none", "made"] = "controller"
    made: str = ""
    lacks: str = ""
