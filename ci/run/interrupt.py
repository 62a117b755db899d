"""Ctrl-C, SIGTERM and SIGHUP become events, so that no step is torn apart half-way."""

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


@contextmanager
def interrupts_into(
    events: Events,
    on_signal: Callable[[str], None],
) -> Iterator[None]:
    """While inside, a signal puts one `Interrupted` into `events`; every further one is noted.

    A `SimpleQueue` may be written from a signal handler: its `put` is reentrant
    (https://docs.python.org/3/library/queue.html#queue.SimpleQueue.put).

    Args:
        events: what every wait of the night reads.
        on_signal: told in words what has been understood.
    """
    seen: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        name = signal.Signals(number).name
        seen.append(number)
        if len(seen) == 1:
            on_signal(f"{name}: stopping; logs come home and the hosts are given back first")
            events.put(Interrupted(f"interrupted by {name}"))
        elif len(seen) == 2:  # noqa: PLR2004 - said once is enough, however often it is pressed
            on_signal(f"{name} again: still giving the hosts back")

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            # Once interrupted, the process is about to end: a further Ctrl-C must not tear that.
            signal.signal(number, signal.SIG_IGN if seen else handler)
