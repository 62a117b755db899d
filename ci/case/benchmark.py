"""Define a benchmark of a case: dataset, tool, options, baseline. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from ci.case.baseline import Baseline, Threshold
from ci.case.metric_entry import MetricEntry, Metrics, by_figure
from ci.case.options import Json, Number, Texts, Truth, Whole
from ci.case.repeats import AUTO, Repeats
from ci.documents.strict import Strict
from ci.documents.values import invalid

# More prompts, tokens or requests at once than any night can send.
MAX_COUNT = 10_000_000
# The keys of `TOOLS` in ci/tools/registry.py; a test compares them.
ToolName = Literal["aisbench", "evalscope", "lm_eval", "vllm_bench"]
Latency = Literal["ttft", "tpot", "e2el"]
# key → the only tools for which it has an effect
ONLY_FOR: dict[str, tuple[ToolName, ...]] = {
    **dict.fromkeys(("input_len", "range_ratio", "prefix_len", "num_prefixes"), ("vllm_bench",)),
    **dict.fromkeys(("burstiness", "goodput"), ("vllm_bench",)),
    **dict.fromkeys(("filter", "metric"), ("lm_eval",)),
    "num_fewshot": ("lm_eval", "evalscope"),
}


class Entry(Strict):
    """One evaluation as a case file has it.

    Accuracy baselines and thresholds are percentage points; a performance baseline is output
    tokens per second and its threshold a factor of it. Without both, any valid figure passes.
    `dataset_path_local` overrides `dataset_path`. `thinking` and `enable_thinking` are short for
    `chat_template_kwargs`. The last five fields come from a model's generation_config.json and
    have no effect.
    """

    case_type: Literal["accuracy", "performance"] = Field(
        description="the kind of benchmark: accuracy or performance",
    )
    dataset_path: str = Field(
        min_length=1, description="the dataset: a name such as gsm8k, or a folder; docs/datasets.md"
    )
    tool: ToolName = "aisbench"
    request_conf: str | None = None
    dataset_conf: str | None = None
    num_fewshot: int | None = Field(default=None, ge=0, le=1000)
    filter: str | None = Field(default=None, min_length=1)
    metric: str | None = Field(default=None, min_length=1)
    num_prompts: int | None = Field(default=None, gt=0, le=MAX_COUNT)
    input_len: int | None = Field(default=None, gt=0, le=MAX_COUNT)
    range_ratio: float | None = Field(default=None, ge=0, lt=1)
    prefix_len: int | None = Field(default=None, gt=0, le=MAX_COUNT)
    num_prefixes: int | None = Field(default=None, gt=0, le=MAX_COUNT)
    max_out_len: int = Field(
        gt=0, le=MAX_COUNT, description="maximum number of tokens of one answer"
    )
    batch_size: int = Field(gt=0, le=MAX_COUNT, description="number of concurrent requests")
    request_rate: float = Field(default=0, ge=0)
    burstiness: float | None = Field(default=None, gt=0)
    goodput: dict[Latency, Annotated[float, Field(gt=0)]] | None = Field(default=None, min_length=1)
    temperature: Number | None = Field(default=None, ge=0)
    top_p: Number | None = Field(default=None, gt=0, le=1)
    top_k: Whole | None = None
    min_p: Number | None = Field(default=None, ge=0, le=1)
    seed: Whole | None = None
    presence_penalty: Number | None = Field(default=None, ge=-2, le=2)
    repetition_penalty: Number | None = Field(default=None, gt=0)
    stop: Texts | None = None
    ignore_eos: Truth | None = None
    thinking: Truth | None = None
    enable_thinking: Truth | None = None
    chat_template_kwargs: Json | None = None
    no_pred: Truth | None = None
    model_path: str | None = None
    dataset_path_local: str | None = None
    case_name: str | None = None
    without_router: bool = False
    trust_remote_code: bool = True
    deadline_s: float = Field(default=14_400, gt=0)
    repeats: Repeats = Field(
        default="1",
        json_schema_extra={"default": 1},
        description="how often a night asks the whole benchmark; its result is that of all passes "
        "together. `auto`: as many passes of an accuracy as show a loss of 5 points, at most 16, "
        "and 3 of a performance",
    )
    baseline: Baseline = Field(
        default=None,
        description="the figure of a healthy night: percent, or output tokens per second; without "
        "`baseline` and `threshold`, every valid figure passes as `no baseline yet`",
    )
    threshold: Threshold = Field(
        default=None,
        validate_default=True,
        description="how far below the baseline still passes: percentage points for accuracy, "
        "a factor such as 0.97 for performance",
    )
    metrics: Metrics | None = None
    bos_token_id: int | None = None
    eos_token_id: int | None = None
    do_sample: bool | None = None
    logprobs: int | None = None
    transformers_version: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _local_first(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file holds
        local = value.get("dataset_path_local") if isinstance(value, dict) else None
        named = isinstance(local, str) and local
        return value | {"dataset_path": local} if named else value

    @field_validator(*ONLY_FOR)
    @classmethod
    def _of_its_tool(cls, value: object, info: ValidationInfo) -> object:
        tool, needed = info.data.get("tool"), ONLY_FOR[info.field_name or ""]
        if value is not None and tool not in (None, *needed):
            able = " or ".join(needed)
            raise invalid(f"has an effect only with tool: {able}, not with {tool}; remove it")
        return value

    @field_validator("without_router")
    @classmethod
    def _of_accuracy(cls, value: object, info: ValidationInfo) -> object:
        if value and info.data.get("case_type") == "performance":
            raise invalid("has an effect only with case_type: accuracy; remove it")
        return value

    @property
    def expected(self) -> tuple[float, float] | None:
        """Return baseline and threshold; None if the case does not have both."""
        both = (self.baseline, self.threshold)
        return None if both[0] is None or both[1] is None else (both[0], both[1])

    @property
    def passes(self) -> int | None:
        """Return how often a night asks the benchmark; None if the case leaves it to the night."""
        return None if self.repeats == AUTO else int(self.repeats)

    @property
    def further(self) -> dict[str, MetricEntry]:
        """Return the figures to judge besides the main one, by their names in results."""
        return by_figure(self.metrics)

    @property
    def template(self) -> dict[str, Any]:
        """Return the chat template's arguments: the short forms and `chat_template_kwargs`."""
        short = {"thinking": self.thinking, "enable_thinking": self.enable_thinking}
        given = {key: value for key, value in short.items() if value is not None}
        return given | (self.chat_template_kwargs or {})


class Benchmark(Entry):
    """An evaluation together with its key in the file."""

    name: str = Field(min_length=1)
