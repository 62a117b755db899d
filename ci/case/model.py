"""What to serve and what to prove, whatever dialect it was written in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Strict(BaseModel):
    """Frozen, strict about types, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Benchmark(Strict):
    """One evaluation: what to ask, with which tool, and the figure it has to reach.

    Accuracy baselines and thresholds are percentage points; a performance baseline is output
    tokens per second and its threshold a factor of it.
    """

    name: str = Field(min_length=1)
    case_type: Literal["accuracy", "performance"]
    dataset_path: str
    tool: str = "aisbench"
    request_conf: str | None = None
    dataset_conf: str | None = None
    num_prompts: int | None = Field(default=None, gt=0)
    max_out_len: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    request_rate: float = Field(default=0, ge=0)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = None
    seed: int | None = None
    repetition_penalty: float | None = None
    ignore_eos: bool | None = None
    trust_remote_code: bool = False
    deadline_s: float = Field(default=14_400, gt=0)
    baseline: float
    threshold: float


class Node(Strict):
    """One host's share of the deployment: one server process."""

    argv: tuple[str, ...]
    env: dict[str, str]
    headless: bool


class Case(Strict):
    """A night's work. `hosts` is empty when the file names none."""

    name: str
    test_name: str
    path: str
    model: str
    vllm: str | None
    npu_per_node: int
    hosts: tuple[str, ...]
    nodes: tuple[Node, ...]
    benchmarks: tuple[Benchmark, ...]
    ready_timeout_s: float
