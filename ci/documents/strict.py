"""The model that every document is read into. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Frozen, strict about types, and unknown keys are refused."""

    # Built when first used: a file needs the models of one dialect.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )
