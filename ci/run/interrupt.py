"""Signals that stop a command: they end the running night, and no further night starts."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from ci.run.events import Events

COPY_S = 10.0
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """The first signal received, and the event queues that have to receive it.

    Attributes:
        first: the name of the first signal; empty while there was none.
        repeated: whether a second signal was received.
    """

    def __init__(self) -> None:
        self.first = ""
        self.repeated = False
        self._queues: list[Events] = []

    @contextmanager
    def forward_to(self, events: Events) -> Iterator[None]:
        """Put an interrupt into `events` while inside, also an earlier interrupt."""
        self._queues.append(events)
        try:
            if self.first:
                events.put(self.error())
            yield
        finally:
            self._queues.remove(events)

    def deliver(self, name: str) -> None:
        """Put the interrupt into every queue; only the first signal counts.

        A `SimpleQueue` may be written from a signal handler: its `put` is reentrant
        (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).
        """
        if not self.first:
            self.first = name
            for events in self._queues:
                events.put(self.error())

    def copying(self) -> Callable[[], bool]:
        """Begin to copy from hosts; return a function that is True when the copies have to end.

        After a second signal the copies get COPY_S from their beginning: enough for what is small.
        """
        ends = time.monotonic() + COPY_S
        return lambda: self.repeated and time.monotonic() > ends

    def error(self) -> Interrupted:
        """Return the exception that ends a wait."""
        return Interrupted(f"interrupted by {self.first}")


@contextmanager
def interrupts(on_signal: Callable[[str], None]) -> Iterator[Interrupts]:
    """Handle SIGINT, SIGTERM and SIGHUP while inside; yields what collects them.

    Works in the main thread only.

    Args:
        on_signal: called with a message for the operator.
    """
    received = Interrupts()

    def note(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not received.first:
            on_signal(
                f"{name}: stopping; first fetching the logs and handing back the hosts (once more: "
                f"leave there what takes longer than {COPY_S:g} s to copy)"
            )
            received.deliver(name)
        elif not received.repeated:  # report it once, however often the key is pressed
            received.repeated = True
            on_signal(f"{name} again: still handing back the hosts")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield received
    finally:
        for number, handler in before.items():
            # An interrupted process is about to exit: a further Ctrl-C must not cut that short.
            signal.signal(number, signal.SIG_IGN if received.first else handler)
