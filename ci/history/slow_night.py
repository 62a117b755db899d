"""Tell a night that is slow on everything from a version that is. Pure.

Where a version is slower, something in it has changed. If every benchmark of a night is slower, and
neither vLLM nor its packages, weights, flags, nor the case or its settings differ from those of the
last good night, the hosts are slower: that is one finding about the night, and no failure of the
version. Where the last good version was measured beside it, that has decided already.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ci.history.by_side import group_of
from ci.judge.verdict import combine

if TYPE_CHECKING:
    from collections.abc import Collection

    from ci.judge.verdict import Check, Verdict
    from ci.record.model import SinceGood

# One benchmark may be slow for a reason of its own.
LEAST_BENCHMARKS = 2
# What may differ between two nights of the same version.
_OUTSIDE = frozenset({"host", "lamplighter"})


def with_slow_night(
    verdict: Verdict, performance: Collection[str], since: SinceGood | None
) -> Verdict:
    """Change the failures of a night that is slow on everything to unknown.

    Args:
        verdict: of a night without a control run.
        performance: names of its benchmarks of performance.
        since: what changed since the last good night, the nearest to the product first; None if
            there was none.
    """
    judged = [check for check in verdict.checks if check.name in performance]
    if since is None or not _is_same_version(since) or not _are_all_slow(judged):
        return verdict
    why = (
        "every benchmark is slower, and no vLLM, package, flag or setting is known to differ from "
        f"{since.run}: the night's fault, not the version's"
    )
    return combine(
        tuple(
            replace(check, outcome="unknown", reason=f"{check.reason}; {why}")
            if check.outcome == "fail" and check.name in performance
            else check
            for check in verdict.checks
        )
    )


def _is_same_version(since: SinceGood) -> bool:
    groups = {group_of(each.variable) for each in since.shown}
    return since.side == "product" and not since.not_known and groups <= _OUTSIDE


def _are_all_slow(checks: Collection[Check]) -> bool:
    """Whether each benchmark has a figure that failed, or is suspect at least, and one failed."""
    compared = {check.name for check in checks if check.baseline is not None}
    failed = {check.name for check in checks if check.outcome == "fail"}
    suspect = {check.name for check in checks if check.reason.startswith("suspect")}
    return len(compared) >= LEAST_BENCHMARKS and bool(failed) and compared <= failed | suspect
