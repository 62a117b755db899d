"""Validate a benchmark's baseline and threshold: a case has both, or neither. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from ci.documents.messages import NEEDS
from ci.documents.values import invalid

if TYPE_CHECKING:
    from pydantic import ValidationInfo

MAX_PERCENT = 100
ADVICE = "give both 'baseline' and 'threshold', or leave out both"


def _beside_baseline(threshold: float | None, info: ValidationInfo) -> float | None:
    """Refuse a threshold without a baseline, and a baseline without a threshold."""
    if "baseline" not in info.data:
        return threshold  # the baseline's own error is reported
    both = {"baseline": info.data["baseline"], "threshold": threshold}
    absent = [key for key, value in both.items() if value is None]
    if len(absent) == 1:
        raise PydanticCustomError(NEEDS, "{advice}", {"key": absent[0], "advice": ADVICE})
    return threshold


def _percent(baseline: float | None, info: ValidationInfo) -> float | None:
    """Refuse an accuracy of more than 100 percent."""
    if baseline is not None and baseline > MAX_PERCENT and info.data.get("case_type") == "accuracy":
        raise invalid(
            f"{baseline:g} is out of range; an accuracy baseline is in percent, at most 100, and "
            "only case_type: performance has token/s"
        )
    return baseline


Amount = Annotated[float, Field(ge=0)]
# A model has to define it after `case_type`.
Baseline = Annotated[Amount | None, AfterValidator(_percent)]
# A model has to define it after `baseline`, because its validator reads that.
Threshold = Annotated[Amount | None, AfterValidator(_beside_baseline)]
# Of a figure that is not the main one of its benchmark; defined after `baseline`, too.
Factor = Annotated[Annotated[float, Field(gt=0)] | None, AfterValidator(_beside_baseline)]
