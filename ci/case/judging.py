"""Define `judge` of a case: which earlier nights count, and what its checks may cost. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ci.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Mapping

FALSE_ALARMS_A_MONTH = 1.0
NIGHTS_A_MONTH = 30
Control = Literal["none", "last-good"]


class Judging(Strict):
    """How the figures of a case are judged against earlier nights."""

    same_vllm: bool = Field(
        default=False,
        description="true: only nights of the same build of vLLM count, as for a case that is to "
        "find what a host or a driver changes. Default: nights of every version, so that a new "
        "version is held against the one before",
    )
    false_alarms_a_month: float = Field(
        default=FALSE_ALARMS_A_MONTH,
        gt=0,
        le=1_000_000,
        description="number of healthy checks of this case that may fail in a month; it decides "
        "how unlikely a loss has to be",
    )
    nights_a_month: int = Field(
        default=NIGHTS_A_MONTH, ge=1, le=1000, description="number of nights a month"
    )
    control: Control = Field(
        default="none",
        description="whether the last good version of vLLM is brought up on the same hosts and "
        "measured beside a figure that stays suspect",
    )

    def with_defaults(self, given: Mapping[str, object]) -> Judging:
        """Return it with the keys that a suite sets and the case does not.

        Args:
            given: key → value, as `judge` of a suite.
        """
        changed = {key: each for key, each in given.items() if key not in self.model_fields_set}
        return self.model_copy(update=changed)

    @property
    def controlled(self) -> bool:
        """Return whether the last good version is measured beside a suspect."""
        return self.control != "none"
