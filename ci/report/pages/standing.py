"""Say which cases stand apart from the failing ones: muted, quarantined, or unstable. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Literal

from ci.judge.unstable import NIGHTS, JudgedNight, why_unstable
from ci.suite.cases import names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.history.year import YearNight


@dataclass(frozen=True)
class Standing:
    """A case or a host whose failures do not count at present.

    Attributes:
        kind: muted, by a suite's file; quarantined, by a suite's run.
        pattern: name of the case, its file, or a pattern of them; name of the host.
        of: what `pattern` names.
        owner: who repairs it; empty if unknown.
        since: when it began; empty if unknown.
        until: the last day of it; empty if it ends by itself.
        because: the reason.
    """

    kind: Literal["muted", "quarantined"]
    pattern: str
    of: Literal["case", "host"] = "case"
    owner: str = ""
    since: str = ""
    until: str = ""
    because: str = ""

    def is_of(self, case: str, config: str) -> bool:
        """Return whether it is one of a case.

        Args:
            case: name of the case; nights of a suite may have `@version` after it.
            config: path of its file.
        """
        if self.of != "case":
            return False
        return names(case, config, self.pattern) or names(case.partition("@")[0], "", self.pattern)


def standing_of(case: str, config: str, standings: Sequence[Standing]) -> Standing | None:
    """Return the standing of a case; None if it counts like any other."""
    return next((each for each in standings if each.is_of(case, config)), None)


def unstable(nights: Sequence[YearNight]) -> str:
    """Say why a case is unstable; empty if it is not.

    Args:
        nights: of the case, the oldest first.
    """
    judged = (night for night in reversed(nights) if night.outcome in {"pass", "fail"})
    return why_unstable(
        [
            JudgedNight(night.outcome == "pass", f"{night.vllm} {night.environment}".strip())
            for night in islice(judged, NIGHTS)
        ]
    )
