"""Decide whether a night is run again, by what it failed by. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.errors import ExitCode
from ci.slurm.states import worth_again

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.suite.model import Retry
    from ci.suite.progress import Attempt, NightState

# With fewer failed nights nobody can say that all fail at once.
FEW = 2
# Classes of the failure table that are time-outs: the product may be what did not answer in time.
# A side alone does not name them.
_TIMES_OUT = ("_timeout", "worker_hangs")
# Ends of a Slurm job after which another one may fare better.
_TAKEN_AWAY = worth_again()
SIDES = frozenset({"environment", "configuration", "tool", "product"})


def why_not_again(night: NightState, retry: Retry) -> str | None:
    """Say why a night that has ended is not run again; None if it may be.

    An empty text is a reason that needs no words: it passed, or was judged.
    """
    last = night.last
    if last is None or not is_unknown(last):
        return ""
    failures = sum(has_failed(each) for each in night.fresh_attempts)
    if failures > retry.times:
        return f"run {counted(failures, 'time')}" if retry.times else ""
    return not_a_reason(last.reasons, retry.reasons)


def is_unknown(attempt: Attempt) -> bool:
    """Return whether a run ended unknown, by no mistake and no signal of the operator."""
    return attempt.outcome == "unknown" and attempt.exit_code in {ExitCode.UNKNOWN, None}


def not_a_reason(reasons: Sequence[str], allowed: Sequence[str]) -> str | None:
    """Say why what a night failed by is no reason to run it again; None if it is one.

    Args:
        reasons: what it failed by.
        allowed: `reasons` of the suite's `retry`.
    """
    if not reasons:
        return "its failure is in no class of the failure table"
    if "product" in reasons:
        return "what the product failed by is not run again"
    named = [each for each in reasons if each in allowed]
    timed_out = [each for each in reasons if each.endswith(_TIMES_OUT)]
    if named and timed_out and set(named) <= SIDES:
        return f"{timed_out[0]} may be a time-out of the product: only its own name is a reason"
    if not named:
        asked = ", ".join(allowed)
        return f"{reasons[0]} is none of the suite's reasons to run again: {asked}"
    return None


def has_failed(attempt: Attempt) -> bool:
    """Return whether a run of a night failed; a signal of the operator is no failure."""
    return attempt.outcome in {"fail", "unknown"} and attempt.exit_code != ExitCode.INTERRUPTED


def was_taken_away(attempt: Attempt) -> bool:
    """Return whether a run ended because Slurm took all hosts away: that says nothing of it."""
    return any(each in _TAKEN_AWAY for each in attempt.reasons[:1])


def failed_share(nights: Sequence[NightState]) -> tuple[int, int]:
    """Return how many nights have failed, and how many of the suite run at all; without mutes.

    Of an ended suite that a person resumed, only nights count that were not done before.
    """
    counted = [
        each
        for each in nights
        if each.counts and each.state != "left-out" and not was_done_before(each)
    ]
    failed = [
        each
        for each in counted
        if each.last
        and each.fresh_attempts
        and has_failed(each.last)
        and not was_taken_away(each.last)
    ]
    return len(failed), len(counted)


def was_done_before(night: NightState) -> bool:
    """Return whether it was done before a person resumed the ended suite, and is not run again."""
    return night.state == "ended" and night.earlier_attempts > 0 and not night.fresh_attempts


def too_many_failed(nights: Sequence[NightState], retry: Retry) -> str:
    """Say that so many nights have failed that nothing is run again; empty if not."""
    failed, count = failed_share(nights)
    if failed < FEW or failed <= retry.most_failed * count:
        return ""
    return (
        f"{failed} of {count} nights have failed, more than {retry.most_failed:.0%}: the cause is "
        "not in one of them"
    )
