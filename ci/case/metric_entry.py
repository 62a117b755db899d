"""Define how one more figure of a benchmark, or of a start, is judged. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator, Field

from ci.case.baseline import Amount, Factor
from ci.case.known_metrics import figure_named
from ci.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping


class MetricEntry(Strict):
    """How one more figure is judged; `{}`: by earlier nights alone."""

    baseline: Amount | None = Field(
        default=None, description="the figure of a healthy night, in the unit of the figure"
    )
    threshold: Factor = Field(
        default=None,
        validate_default=True,
        description="a factor of the baseline that still passes: 0.9 of a throughput is 10 % less; "
        "of a time or a count, 0.9 and 1.11 mean the same: about 11 % more",
    )

    @property
    def expected(self) -> tuple[float, float] | None:
        """Return baseline and threshold; None if the case has neither."""
        both = (self.baseline, self.threshold)
        return None if both[0] is None or both[1] is None else (both[0], both[1])


def _empty(value: object) -> object:
    """Read a name without a value as `{}`."""
    return {} if value is None else value


Metrics = dict[str, Annotated[MetricEntry, BeforeValidator(_empty)]]


def by_figure(metrics: Mapping[str, MetricEntry] | None) -> dict[str, MetricEntry]:
    """Return the entries by the names that their figures have in results."""
    return {figure_named(name): entry for name, entry in (metrics or {}).items()}
