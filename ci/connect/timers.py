"""What happens late unless it is called off. One thread waits for all: most never come about."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_changed = threading.Condition()
_waiting: list[tuple[float, int, Alarm]] = []
_numbers = itertools.count()


class Alarm:
    """One call to come; `cancel` calls it off."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def cancel(self) -> None:
        """It shall not come any more; one that has begun goes on."""
        self._act = None

    def ring(self) -> None:
        """Begin it, in a thread of its own: it may block."""
        if self._act is not None:
            threading.Thread(target=self._act, daemon=True).start()


def after(delay_s: float, act: Callable[[], object]) -> Alarm:
    """Call `act` in so many seconds unless the alarm is cancelled."""
    alarm = Alarm(act)
    entry = (time.monotonic() + delay_s, next(_numbers), alarm)
    with _changed:
        heapq.heappush(_waiting, entry)
        if _waiting[0] is entry:
            _started()
            _changed.notify()
    return alarm


_threads: list[threading.Thread] = []


def _started() -> None:
    if not _threads:
        _threads.append(threading.Thread(target=_wait, daemon=True, name="alarms"))
        _threads[0].start()


def _wait() -> None:
    while True:
        with _changed:
            while not _waiting or _waiting[0][0] > time.monotonic():
                _changed.wait(_waiting[0][0] - time.monotonic() if _waiting else None)
            alarm = heapq.heappop(_waiting)[2]
        alarm.ring()
