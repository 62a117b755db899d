"""Events that every wait of a night reads: ends of processes, dead servers, interrupts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, TypeAlias

from ci.agent.process import tail_of
from ci.errors import HostLost, ProcessDied
from ci.vllm.classify import classify

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from queue import SimpleQueue

    from ci.agent.process import State, Supervised


# How often somebody who watches is told what is being waited for.
TICK_S = 1.0
TAIL_LINES = 30
OUR_PROBE = '"GET /health'
# The root cause stands above the tracebacks that it ends in.
READ_LINES = 400
# Ends that a caller judges: it may have reached its end, or run out of the time it was given.
OF_ITS_OWN = {"exited", "deadline"}
# Ends that the process's own log cannot explain.
NOT_OF_ITS_OWN = {
    "lost": "its supervisor is gone, so nobody knows how it is; see whether the host rebooted",
    "lease_expired": "the controller was silent for too long (suspended, or cut off), so the "
    "host ended what ran on it; run again",
    "deadline": "its deadline passed; see its log",
    "stopped": "somebody stopped it on the host",
}


@dataclass(frozen=True)
class Unwell:
    """A process that lives and is as good as dead; `sign` is what told of it."""

    process: Supervised
    sign: str


if TYPE_CHECKING:
    # What every wait of a night reads: a process that has ended, one that is unwell, or what an
    # interrupt raises.
    Events: TypeAlias = SimpleQueue[Supervised | Unwell | BaseException]


def await_end(target: Supervised, events: Events, on_tick: Callable[[float], None]) -> None:
    """Block until `target` ends.

    Args:
        target: the process whose end is awaited; any exit code is fine.
        events: every process that ends puts itself here at once, an interrupt its exception.
        on_tick: called with the seconds waited, about once a second.

    Raises:
        ProcessDied: another process, which the target needs, ended first; or the target was ended.
        HostLost: there is no word of one of them any more.
        Interrupted: the controller was told to stop.
    """
    await_ends([target], events, on_tick)


def await_ends(
    targets: Sequence[Supervised],
    events: Events,
    on_tick: Callable[[float], None],
) -> None:
    """Block until every one of `targets` has ended; otherwise as `await_end`."""
    begin = told = time.monotonic()
    left = list(targets)
    while left:
        try:
            event = events.get(timeout=TICK_S)
        except Empty:
            event = None
        ended = next((one for one in left if one is event), None)
        if event is not None and (ended is None or ended.state.state not in OF_ITS_OWN):
            raise cause_of_end(event)
        if ended is not None:
            left.remove(ended)
        now = time.monotonic()
        if left and now - told >= TICK_S:
            told = now
            on_tick(now - begin)


def raise_pending(events: Events) -> None:
    """Raise the interrupt that came while nothing waited, if one did; leave every other event out.

    Raises:
        Interrupted: the controller was told to stop.
    """
    while not events.empty():
        event = events.get()
        if isinstance(event, BaseException):
            raise event


def cause_of_end(event: Supervised | Unwell | BaseException) -> BaseException:
    """Say why an event ends the night."""
    if isinstance(event, BaseException):
        return event
    return died(event.process, event.sign) if isinstance(event, Unwell) else died(event)


def telling(lines: Sequence[str]) -> tuple[str, ...]:
    """Leave out what servers log about our own health probes."""
    return tuple(line for line in lines if OUR_PROBE not in line)


def died(process: Supervised, sign: str = "") -> HostLost | ProcessDied:
    """Explain an end that nobody asked for, from the process's state and log.

    Args:
        process: that has ended, or is as good as dead.
        sign: what told of it, where the process itself has not ended.
    """
    state = process.state
    if process.why_lost:
        return HostLost(f"lost {process.host}: {process.why_lost}")
    lines, unread = tail_of(process, READ_LINES)
    log = telling(lines)
    reason = NOT_OF_ITS_OWN.get(state.state) or _reason_in(log, state, unread=bool(unread))
    # All that ran on the host ended with the lease, so the first to be heard of tells nothing.
    alone = state.state != "lease_expired"
    reason = ": ".join(filter(None, (sign if alone else "", reason))) or str(state)
    reason += f"; its log cannot be read: {unread}" if unread else ""
    tail = log[-TAIL_LINES:]
    if not alone:
        return ProcessDied(process.host, reason, tail)
    return ProcessDied(process.name, reason, tail, host=process.host)


def _reason_in(log: Sequence[str], state: State, *, unread: bool) -> str:
    """Find the reason in the log, or in how the process ended; empty where neither tells it."""
    found = classify("\n".join(log), state.exit_code, state.signal)
    return "" if unread and found.kind == "unknown" else found.message
