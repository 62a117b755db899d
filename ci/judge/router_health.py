"""Judge whether a router's health is the truth. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.judge.verdict import Check

if TYPE_CHECKING:
    from collections.abc import Sequence

OK = 200


@dataclass(frozen=True)
class AfterEnd:
    """What a router did after a process of its deployment was ended.

    Attributes:
        process: the process that was ended, e.g. `decode-1`.
        sent: requests that were sent through the router afterwards.
        unanswered: why each of those that were not answered was not.
        status: HTTP status of the router's health after the requests; None if it did not answer.
        waited_s: how long the router had to notice, in seconds.
    """

    process: str
    sent: int
    unanswered: tuple[str, ...]
    status: int | None
    waited_s: float


def health_checks(ends: Sequence[AfterEnd]) -> tuple[Check, ...]:
    """Judge each end: health may say 200 only while every request is answered.

    Args:
        ends: in the order in which the processes were ended.
    """
    return tuple(map(_check, ends))


def _check(end: AfterEnd) -> Check:
    says = "no answer" if end.status is None else str(end.status)
    lies = end.status == OK and bool(end.unanswered)
    done = f"{end.sent - len(end.unanswered)} of {end.sent} requests are answered"
    why = f" ({end.unanswered[0]})" if end.unanswered else ""
    reason = f"{done}{why}; its health: {says}"
    if lies:
        reason = f"its health still says 200 after {end.waited_s:.0f} s, but {done}{why}"
    return Check(
        name=f"router health without {end.process}",
        metric="answered requests",
        value=float(end.sent - len(end.unanswered)),
        unit="requests",
        baseline=None,
        tolerance="",
        bound=float(end.sent) if end.status == OK else 0.0,
        outcome="fail" if lies else "pass",
        reason=reason,
    )
