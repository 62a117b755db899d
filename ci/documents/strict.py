"""Define the base of all models of documents. Pure."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of a model: frozen, strict about types, refuses unknown keys."""

    # Build validators on first use: a file needs only the models of one dialect.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, defer_build=True
    )
