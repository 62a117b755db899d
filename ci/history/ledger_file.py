"""Define the ledger of baselines as a file has it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field, ValidationInfo

from ci.documents.strict import Strict
from ci.documents.values import invalid
from ci.judge.figures import MAX_PERCENT
from ci.judge.metrics import is_score, may_be_zero

if TYPE_CHECKING:
    from pydantic import BaseModel


def _time(text: str) -> str:
    """Refuse a text that is not a time: nights are sorted by theirs."""
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise invalid(f"{text!r} is not a time; write one such as 2026-01-31T20:00:00Z") from None
    return text


def _of_value(unit: str, info: ValidationInfo) -> str:
    """Refuse a baseline that no valid figure has."""
    value, metric = info.data.get("value"), info.data.get("metric")
    if value is None or metric is None:
        return unit  # their own errors are reported
    if is_score(metric) and not 0 <= value <= MAX_PERCENT:
        raise invalid(f"{metric} of {value:g} {unit} is outside 0 to 100")
    if not is_score(metric) and (value < 0 or (value == 0 and not may_be_zero(metric))):
        raise invalid(f"{metric} of {value:g} {unit} is the figure of no run; expected more than 0")
    return unit


Time = Annotated[str, AfterValidator(_time)]


class SettingsEntry(Strict):
    """The settings of a measurement; the fields and defaults of `ci.judge.past.Conditions`."""

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
    arguments: list[str] = Field(default=[])
    overrides: list[str] = Field(default=[])
    passes: int = 1


class AcceptedEntry(Strict):
    """A baseline, with what it is the figure of, and who accepted it."""

    benchmark: str = Field(min_length=1, description="name of the benchmark in the case")
    metric: str = Field(min_length=1, description="e.g. accuracy, output_token_throughput")
    value: float = Field(description="the baseline")
    unit: Annotated[str, AfterValidator(_of_value)] = Field(
        description="of the value: %, tok/s, ms"
    )
    before: float | None = Field(
        default=None, description="the baseline that held before; null if there was none"
    )
    n: int = Field(default=0, ge=0, description="number of items of one night")
    items: str = Field(
        default="", description="digest of the ids and prompts of the items; empty for any"
    )
    settings: SettingsEntry | None = Field(
        default=None, description="settings of the measurement, without defaults; null for any"
    )
    vllm: str = Field(default="", description="version of vLLM")
    device: str = Field(default="", description="kind of the devices: cpu, cuda or ascend")
    host: str = Field(default="", description="the hosts, joined by +")
    runs: list[str] = Field(default=[], description="the nights that it is the figure of")
    spread: float | None = Field(
        default=None, ge=0, description="standard deviation of their figures; null for one night"
    )
    who: str = Field(min_length=1, description="accepted it")
    when: Time = Field(description="UTC, ISO 8601")
    because: str = Field(min_length=1, description="why")
    loosened: bool = Field(
        default=False, description="it is worse than the baseline that held before"
    )
    forced: list[str] = Field(default=[], description="what spoke against it")


class RejectedEntry(Strict):
    """A run that never enters the history that judging uses."""

    run: str = Field(min_length=1, description="id of the run")
    who: str = Field(min_length=1, description="rejected it")
    when: Time = Field(description="UTC, ISO 8601")
    because: str = Field(min_length=1, description="why")


class LedgerFile(Strict):
    """The ledger of one case."""

    case: str = Field(min_length=1, description="name of the case, as `inv history` lists it")
    accepted: list[AcceptedEntry] = Field(default=[], description="baselines, the newest last")
    rejected: list[RejectedEntry] = Field(default=[], description="runs that do not count")


# Key path → model of each section; the inner ones first.
SECTIONS: dict[str, type[BaseModel]] = {
    "accepted.*.settings": SettingsEntry,
    "accepted.*": AcceptedEntry,
    "rejected.*": RejectedEntry,
}
