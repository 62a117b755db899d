"""Wait for one process while every other needed one is watched; an interrupt ends any wait."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from queue import Empty
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, ProcessDied
from ci.serve import probe
from ci.serve.classify import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from queue import SimpleQueue

    from ci.hosts.process import Supervised

# How often somebody who watches is told what is being waited for.
TICK_S = 1.0
TAIL_LINES = 30
# Twice in a row within a second.
HEALTH_EVERY_S = 0.4
OUR_PROBE = '"GET /health'
HEALTH_TIMEOUT_S = 2.0
UNAVAILABLE = 503
SICK_FOR_GOOD = 2
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


@contextmanager
def health_watched(
    servers: Sequence[tuple[Supervised, str]],
    events: SimpleQueue[Supervised | BaseException],
) -> Iterator[None]:
    """While inside, a server whose health says 503 twice running ends whatever is waited for.

    vLLM answers 503 as soon as its engine is dead, but its own process lives on for seconds and
    then exits with 0, so that its end alone says it late. Anything else, a time-out under load for
    one, says nothing here: processes that end are heard of anyway.

    Args:
        servers: each with its health URL.
        events: gets a `ProcessDied`.
    """
    done = threading.Event()
    threads = [
        threading.Thread(target=_watch_health, args=(done, *server, events), daemon=True)
        for server in servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


def _watch_health(
    done: threading.Event,
    process: Supervised,
    url: str,
    events: SimpleQueue[Supervised | BaseException],
) -> None:
    sick = 0
    while not done.wait(HEALTH_EVERY_S):
        sick = sick + 1 if probe.health(url, HEALTH_TIMEOUT_S).status == UNAVAILABLE else 0
        if sick == SICK_FOR_GOOD:
            events.put(died(process, "its health says 503, so its engine is dead"))
            return


def telling(lines: Sequence[str]) -> tuple[str, ...]:
    """Leave out what servers log about our own health probes."""
    return tuple(line for line in lines if OUR_PROBE not in line)


def died(process: Supervised, sign: str = "") -> ProcessDied:
    """Explain an end that nobody asked for, from the process's state and log.

    Args:
        process: that has ended, or is as good as dead.
        sign: what told of it, where the process itself has not ended.
    """
    state = process.state
    try:
        log = telling(process.tail(READ_LINES))
    except InfrastructureError as error:
        return ProcessDied(process.name, f"{sign or state}; its log cannot be read: {error}")
    reason = NOT_OF_ITS_OWN.get(state.state) or (
        classify("\n".join(log), state.exit_code, state.signal).message
    )
    return ProcessDied(process.name, f"{sign}: {reason}" if sign else reason, log[-TAIL_LINES:])
