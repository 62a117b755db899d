"""Wait for one process while every other needed one is watched; an interrupt ends any wait."""

from __future__ import annotations

import time
from queue import Empty
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, ProcessDied
from ci.serve.classify import classify

if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue

    from ci.hosts.process import Supervised

# How often somebody who watches is told what is being waited for.
TICK_S = 1.0
TAIL_LINES = 30
# The root cause stands above the tracebacks that it ends in.
READ_LINES = 400
# Ends that the process's own log cannot explain.
NOT_OF_ITS_OWN = {
    "lost": "its supervisor is gone, so nobody knows how it is; see whether the host rebooted",
    "lease_expired": "the controller was silent for too long (suspended, or cut off), so the "
    "host ended it; run again",
    "deadline": "its deadline passed; see its log",
    "stopped": "somebody stopped it on the host",
}


def await_end(
    target: Supervised,
    events: SimpleQueue[Supervised | BaseException],
    on_tick: Callable[[float], None],
) -> None:
    """Block until `target` ends.

    Args:
        target: the process whose end is awaited; any exit code is fine.
        events: every process that ends puts itself here at once, an interrupt its exception.
        on_tick: called with the seconds waited, about once a second.

    Raises:
        ProcessDied: another process, which the target needs, ended first.
        Interrupted: the controller was told to stop.
    """
    begin = time.monotonic()
    while True:
        try:
            event = events.get(timeout=TICK_S)
        except Empty:
            on_tick(time.monotonic() - begin)
            continue
        if event is target:
            return
        if isinstance(event, BaseException):
            raise event
        raise died(event)


def died(process: Supervised) -> ProcessDied:
    """Explain an end that nobody asked for, from the process's state and log."""
    state = process.state
    try:
        log = process.tail(READ_LINES)
    except InfrastructureError as error:
        return ProcessDied(process.name, f"{state}; its log cannot be read: {error}")
    reason = NOT_OF_ITS_OWN.get(state.state) or (
        classify("\n".join(log), state.exit_code, state.signal).message
    )
    return ProcessDied(process.name, reason, log[-TAIL_LINES:])
