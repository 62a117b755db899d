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
    from typing import TypeAlias

    from ci.run.events import Events

    # None if it was not set from Python.
    Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

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
        self._before: dict[signal.Signals, Handler] = {}

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

    @contextmanager
    def left_to_caller(self) -> Iterator[None]:
        """While inside, let signals act on the code of the caller, as they did before `interrupts`.

        A signal that would end the process raises KeyboardInterrupt there instead, so that the
        hosts are handed back. Either way a KeyboardInterrupt counts as the first signal.

        Raises:
            KeyboardInterrupt: a signal was received before.
        """
        if self.first:
            raise KeyboardInterrupt(f"interrupted by {self.first}")
        own = {number: signal.getsignal(number) for number in self._before}
        for number, handler in self._before.items():
            signal.signal(number, self._end_caller if handler is signal.SIG_DFL else handler)
        try:
            yield
        except KeyboardInterrupt:
            self.first = self.first or signal.SIGINT.name
            raise
        finally:
            for number, handler in own.items():
                signal.signal(number, handler)

    def _end_caller(self, number: int, _: FrameType | None) -> None:
        self.first = signal.Signals(number).name
        raise KeyboardInterrupt(f"interrupted by {self.first}")

    def error(self) -> Interrupted:
        """Return the exception that ends a wait."""
        return Interrupted(f"interrupted by {self.first}")


@contextmanager
def interrupts(
    on_signal: Callable[[str], None], *, ends_process: bool = True
) -> Iterator[Interrupts]:
    """Handle SIGINT, SIGTERM and SIGHUP while inside; yields what collects them.

    Works in the main thread only.

    Args:
        on_signal: called with a message for the operator.
        ends_process: an interrupted process is about to exit, and a further signal must not cut
            that short; without it the previous handlers return.
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
    received._before.update(before)  # noqa: SLF001 - of this module
    try:
        yield received
    finally:
        for number, handler in before.items():
            ignored = received.first and ends_process
            signal.signal(number, signal.SIG_IGN if ignored else handler)
