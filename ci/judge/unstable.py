"""Tell unstable cases from broken ones, by their last nights. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of so many judged nights, the newest, neither outcome has more than so many.
NIGHTS, MOST = 10, 6


@dataclass(frozen=True)
class JudgedNight:
    """A night that passed or failed.

    Attributes:
        passed: whether it passed.
        build: version and packages of vLLM; empty if unknown.
    """

    passed: bool
    build: str = ""


def why_unstable(nights: Sequence[JudgedNight]) -> str:
    """Say why a case is unstable; empty if it is not.

    Args:
        nights: its judged nights, the newest first; only the last ten count.
    """
    last = nights[:NIGHTS]
    passed = sum(each.passed for each in last)
    failed = len(last) - passed
    if len(last) == NIGHTS and max(passed, failed) <= MOST:
        return f"{failed} of its last {NIGHTS} nights failed, {passed} passed"
    for build in dict.fromkeys(each.build for each in last if each.build):
        same = [each.passed for each in last if each.build == build]
        if len(set(same)) > 1:
            shown = build.partition(" ")[0]
            failures, count = same.count(False), len(same)
            return f"the same build of vLLM {shown} failed {failures} of {count} nights"
    return ""
