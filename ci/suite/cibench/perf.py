"""Make benchmarks of vllm-cibench's perf.yaml: lengths × concurrencies of random prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field

from ci.case.benchmark import MAX_COUNT
from ci.case.load_levels import MAX_LEVELS
from ci.documents.config_file import load_source
from ci.documents.files import is_file
from ci.documents.strict import Strict

if TYPE_CHECKING:
    from pathlib import Path

    from ci.errors import Problem

# Requests of each concurrency; perf.yaml does not say how many.
REQUESTS = 8


def _listed(value: Any) -> Any:  # noqa: ANN401 - any value of YAML
    return [value] if isinstance(value, int) and not isinstance(value, bool) else value


_Count = Annotated[int, Field(gt=0, le=MAX_COUNT)]
Counts = Annotated[
    list[_Count], BeforeValidator(_listed), Field(min_length=1, max_length=MAX_LEVELS)
]


class Axes(Strict):
    """`matrix`: what is multiplied out."""

    concurrency: Counts = Field(default=[1], description="numbers of concurrent requests")
    input_len: Counts = Field(default=[128], description="tokens of each prompt")
    output_len: Counts = Field(default=[128], description="tokens of each answer")


class PerfFile(Strict):
    """A perf.yaml."""

    enabled: bool = Field(default=True, description="false: performance is not measured")
    matrix: Axes = Field(default=Axes(), description="lengths and concurrencies")
    runs: int = Field(default=1, ge=1, description="how often each is measured")


def load_perf(path: Path) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Return the benchmarks of a perf.yaml, and warnings; none without the file.

    Raises:
        CaseError: it is not valid.
        UserError: it cannot be read.
    """
    if not is_file(path):
        return {}, ()
    perf, source = load_source(path, PerfFile, {"matrix": Axes})
    warnings: tuple[Problem, ...] = ()
    if perf.runs > 1:
        message = "has no effect: each is measured once, and again where a figure is suspect"
        warnings = (source.at_key(("runs",), message),)
    return (_benchmarks(perf.matrix) if perf.enabled else {}), warnings


def _benchmarks(axes: Axes) -> dict[str, Any]:
    return {
        f"perf-in{prompt}-out{answer}": {
            "case_type": "performance",
            "tool": "vllm_bench",
            "dataset_path": "random",
            "input_len": prompt,
            "max_out_len": answer,
            "batch_size": axes.concurrency,
            "num_prompts": [REQUESTS * each for each in axes.concurrency],
        }
        for prompt in axes.input_len
        for answer in axes.output_len
    }
