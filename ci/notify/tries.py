"""Try a delivery again, within a deadline; wait as long as the receiver asks for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.notify.answer import Answer

TRIES = 4
FIRST_WAIT_S = 1.0
# Of one receiver, with all tries and waits.
DEADLINE_S = 60.0


@dataclass(frozen=True)
class Clock:
    """The time, and how to wait; tests have their own.

    Attributes:
        now_s: monotonic.
        wait: for so many seconds.
    """

    now_s: Callable[[], float] = time.monotonic
    wait: Callable[[float], None] = time.sleep


def tried(attempt: Callable[[float], Answer], clock: Clock, deadline_s: float = DEADLINE_S) -> str:
    """Attempt a delivery until it succeeds; return why it did not, or an empty text.

    Args:
        attempt: makes one; it gets how many seconds are left.
        clock: the time.
        deadline_s: for all attempts and the time between them.
    """
    end_s = clock.now_s() + deadline_s
    wait_s = FIRST_WAIT_S
    reason = ""
    for number in range(1, TRIES + 1):
        answer = attempt(max(0.1, end_s - clock.now_s()))
        if answer.delivered:
            return ""
        # What to do stands at the end.
        problem, colon, step = answer.reason.partition("; ")
        tries = f" (try {number})" if number > 1 else ""
        reason = f"{problem}{tries}{colon}{step}"
        if not answer.again or number == TRIES:
            return reason
        pause_s = max(wait_s, answer.after_s or 0)
        if clock.now_s() + pause_s >= end_s:
            return f"{reason}; it wants {pause_s:.0f} s of patience, and there is less left"
        clock.wait(pause_s)
        wait_s *= 2
    return reason
