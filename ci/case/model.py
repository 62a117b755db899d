"""What to serve and what to prove, whatever dialect it was written in."""

from __future__ import annotations

import difflib
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from ci.evaluate.tools import TOOLS

Device = Literal["cpu", "cuda", "ascend"]
DEVICES: tuple[Device, ...] = get_args(Device)


def _known_tool(name: str) -> str:
    if name not in TOOLS:
        near = difflib.get_close_matches(name, TOOLS)
        guess = f"; did you mean {near[0]!r}?" if near else ""
        message = f"{name!r} is no tool of ours, there are: {', '.join(TOOLS)}{guess}"
        raise PydanticCustomError("defect", "{message}", {"message": message})
    return name


class Strict(BaseModel):
    """Frozen, strict about types, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Entry(Strict):
    """One evaluation as a case file writes it: what to ask, with which tool, and what to reach.

    Accuracy baselines and thresholds are percentage points; a performance baseline is output
    tokens per second and its threshold a factor of it.
    """

    case_type: Literal["accuracy", "performance"] = Field(
        description="what is measured: accuracy or performance",
    )
    dataset_path: str = Field(min_length=1, description="the dataset to ask, e.g. gsm8k")
    tool: Annotated[str, AfterValidator(_known_tool)] = "aisbench"
    request_conf: str | None = None
    dataset_conf: str | None = None
    num_prompts: int | None = Field(default=None, gt=0)
    max_out_len: int = Field(gt=0, description="the most tokens that one answer may have")
    batch_size: int = Field(gt=0, description="how many requests are in flight at once")
    request_rate: float = Field(default=0, ge=0)
    temperature: float | None = Field(default=None, ge=0)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = None
    seed: int | None = None
    repetition_penalty: float | None = Field(default=None, gt=0)
    ignore_eos: bool | None = None
    trust_remote_code: bool = False
    deadline_s: float = Field(default=14_400, gt=0)
    baseline: float = Field(
        ge=0,
        description="the figure of a healthy night: percent, or output tokens per second",
    )
    threshold: float = Field(
        ge=0,
        description="how far below the baseline still passes: percentage points for accuracy, "
        "a factor such as 0.97 for performance",
    )


class Benchmark(Entry):
    """An evaluation together with the name that it stands under in the file."""

    name: str = Field(min_length=1)


class Node(Strict):
    """One host's share of the deployment: one server process.

    `argv` and `env` still hold `$X` and `${X}` as written. `master_index` is the node that this
    one belongs to, where the file says so.
    """

    argv: tuple[str, ...]
    env: dict[str, str]
    headless: bool
    master_index: int | None = None


class Case(Strict):
    """A night's work. `hosts` is empty when the file names none.

    `prefill` and `decode` are the nodes of each role, both empty when prefill and decode are not
    separated. `vllm` and `device` name an entry of configs/versions.yaml. `special_dependencies`
    are package versions that the case asks for.
    """

    name: str
    test_name: str
    path: str
    model: str
    vllm: str | None
    device: Device | None
    npu_per_node: int
    hosts: tuple[str, ...]
    nodes: tuple[Node, ...]
    benchmarks: tuple[Benchmark, ...]
    ready_timeout_s: float
    prefill: tuple[int, ...] = ()
    decode: tuple[int, ...] = ()
    special_dependencies: dict[str, str] = Field(default_factory=dict)
