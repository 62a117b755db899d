"""Define a figure of an earlier night, with all that decides what it may be compared with. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class CheckId:
    """One check of a case: a metric of a benchmark."""

    case: str
    benchmark: str
    metric: str


@dataclass(frozen=True)
class Conditions:
    """The settings of a measurement: what was asked, of which model, and how.

    Attributes:
        model: the model's name in the requests; of a path its last part, with the revision of a
            hub.
        tool: name of the evaluation tool.
        tool_version: None if it is unknown, or if the tool is a part of the served vLLM, so that
            its version is that of vLLM.
        dataset: name of the data set; empty if the tool generates its prompts.
        dataset_digest: of its files.
        made: how the prompts were made from these files; empty if they are them.
        num_prompts: number of items; None if the whole data set was asked.
        max_out_len: maximum number of tokens of an answer.
        temperature: None for the tool's default.
        sampling: the other parameters of every request, as JSON with sorted keys.
        tokenizer: of the tool, in the form of `model`; empty if it uses none.
        request_conf: of the case; empty if it has none.
        dataset_conf: of the case; empty if it has none.
        batch_size: maximum number of concurrent requests.
        request_rate: requests per second; 0 means as fast as possible.
        arguments: the tool's options that have no path, if its prompts have no digest.
        overrides: the `--set` of the command line, except those of benchmarks.
        passes: how often the whole benchmark was asked.
    """

    model: str = ""
    tool: str = ""
    tool_version: str | None = None
    dataset: str = ""
    dataset_digest: str = ""
    made: str = ""
    num_prompts: int | None = None
    max_out_len: int = 0
    temperature: float | None = None
    sampling: str = "{}"
    tokenizer: str = ""
    request_conf: str = ""
    dataset_conf: str = ""
    batch_size: int = 0
    request_rate: float = 0.0
    arguments: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    passes: int = 1


@dataclass(frozen=True)
class PastFigure:
    """One figure of one measurement of a benchmark in a night.

    Attributes:
        run: id of the run.
        case: name of the case.
        benchmark: name of the benchmark.
        metric: e.g. `accuracy`, `output_token_throughput`.
        value: the figure.
        unit: of the value.
        n: number of items or requests that it is the figure of.
        started_at: when the tool started, else the run: UTC, ISO 8601.
        host: the hosts of the run, joined by `+`.
        repeat: index of the measurement among those of the same benchmark in the run.
        device: kind of the hosts' devices: cpu, cuda or ascend; empty if unknown.
        device_name: names of the devices, or of the CPU; empty if unknown.
        vllm: version of vLLM that answered; empty if unknown.
        environment: digest of the packages that vLLM ran with; empty if unknown.
        conditions: the settings; None in records of version 1.
        questions: digest of the ids and the prompts of all items; empty if they are unknown.
        items: id → number of right answers and of passes; None if its items are not right or
            wrong.
        n_items: number of items on record.
        failed: number of requests that failed.
        missing: number of items that were asked and are not on record.
        cut: number of answers that ended at `max_out_len`.
        empty: number of answers without a token.
        problems: of the measurement; if there are any, its figures are not valid.
        ended_early: the cause that ended the night early; empty if there was none.
        outcome: of the figure's own check, else of the night; empty while it is not judged.
        night: outcome of the night; empty while it is not judged.
        runs: the figure of each pass, if the benchmark was asked several times.
        purpose: of the run: `night`; or `control`, `again` or `against-itself`, which belong to a
            night and do not count as one; or `bisect`, a night of a bisection.
    """

    run: str
    case: str
    benchmark: str
    metric: str
    value: float
    unit: str
    n: int
    started_at: str
    host: str
    repeat: int = 0
    device: str = ""
    device_name: str = ""
    vllm: str = ""
    environment: str = ""
    conditions: Conditions | None = None
    questions: str = ""
    items: Mapping[str, tuple[int, int]] | None = field(default=None, repr=False)
    n_items: int = 0
    failed: int = 0
    missing: int = 0
    cut: int = 0
    empty: int = 0
    problems: tuple[str, ...] = ()
    ended_early: str = ""
    outcome: str = ""
    night: str = ""
    runs: tuple[float, ...] = ()
    purpose: str = "night"

    @property
    def passes(self) -> int:
        """Return how many passes it is the mean of."""
        return max(len(self.runs), 1)

    @property
    def check(self) -> CheckId:
        """Return the check that it is a figure of."""
        return CheckId(self.case, self.benchmark, self.metric)

    @property
    def series(self) -> str:
        """Return the hosts and their devices: figures of other ones have an offset."""
        return f"{self.host} ({self.device_name})" if self.device_name else self.host
