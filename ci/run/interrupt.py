"""Signals that stop a command: every night in it hears of them, and no further one is begun."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ci.run.events import Events

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """What has come so far, and the waits that are to hear of it.

    Attributes:
        first: the name of the first signal; empty while none came.
    """

    def __init__(self) -> None:
        self.first = ""
        self._waits: list[Events] = []

    @contextmanager
    def into(self, events: Events) -> Iterator[None]:
        """While inside, an interrupt ends whatever waits for `events`; so does an earlier one."""
        self._waits.append(events)
        try:
            if self.first:
                events.put(self.error())
            yield
        finally:
            self._waits.remove(events)

    def take(self, name: str) -> None:
        """Let every wait hear of a signal; once is enough, however often it comes.

        A `SimpleQueue` may be written from a signal handler: its `put` is reentrant
        (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).
        """
        if not self.first:
            self.first = name
            for events in self._waits:
                events.put(self.error())

    def error(self) -> Interrupted:
        """Give what ends a wait."""
        return Interrupted(f"interrupted by {self.first}")


@contextmanager
def interrupts(on_signal: Callable[[str], None]) -> Iterator[Interrupts]:
    """While inside, SIGINT, SIGTERM and SIGHUP are taken by what is yielded.

    In the main thread only, where a command begins.

    Args:
        on_signal: called with what is done about it, in words.
    """
    taken = Interrupts()
    again = False

    def note(number: int, _: FrameType | None) -> None:
        nonlocal again
        name = signal.Signals(number).name
        if not taken.first:
            on_signal(f"{name}: stopping; logs come home and the hosts are given back first")
            taken.take(name)
        elif not again:  # said once is enough, however often it is pressed
            again = True
            on_signal(f"{name} again: still giving the hosts back")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield taken
    finally:
        for number, handler in before.items():
            # Once interrupted, the process is about to end: a further Ctrl-C must not tear that.
            signal.signal(number, signal.SIG_IGN if taken.first else handler)
