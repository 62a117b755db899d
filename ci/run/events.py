"""Events that every wait of a night reads: ended processes, dead servers, interrupts."""

from __future__ import annotations

import time
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING, TypeAlias

from ci.agent.process import tail_of
from ci.errors import HostLost, ProcessDied

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from queue import SimpleQueue

    from ci.agent.process import ProcessState, RemoteProcess
    from ci.explain.classify import Reason


# How often progress is shown during a wait.
TICK_S = 1.0
TAIL_LINES = 30
HEALTH_PROBE = '"GET /health'
# The root cause is logged before the tracebacks that follow from it.
READ_LINES = 400
# Ends that the caller judges: the process exited, or its time ran out.
NORMAL_ENDS = {"exited", "deadline"}
# Ends that the process's own log cannot explain.
ABNORMAL_ENDS = {
    "lost": "its supervisor is gone, so its state is unknown; check whether the host rebooted",
    "lease_expired": "no contact with the controller for too long (suspended, or cut off), so the "
    "host ended its processes; run again",
    "deadline": "its deadline passed; see its log",
    "stopped": "it was stopped on the host, not by this run",
}


@dataclass(frozen=True)
class Unresponsive:
    """A live process that no longer serves; `symptom` is how that was detected."""

    process: RemoteProcess
    symptom: str


if TYPE_CHECKING:
    # A process that has ended, a server that is unresponsive, or the exception of an interrupt.
    Events: TypeAlias = SimpleQueue[RemoteProcess | Unresponsive | BaseException]


def await_end(target: RemoteProcess, events: Events, on_tick: Callable[[float], None]) -> None:
    """Block until `target` ends.

    Args:
        target: the process to wait for; any exit code is accepted.
        events: receives every process that ends, and the exception of an interrupt.
        on_tick: called with the seconds waited, about once a second.

    Raises:
        ProcessDied: another process, which the target needs, ended first; or something other than
            its deadline ended the target.
        HostLost: contact with the host of one of them was lost.
        Interrupted: the controller was asked to stop.
    """
    await_ends([target], events, on_tick)


def await_ends(
    targets: Sequence[RemoteProcess],
    events: Events,
    on_tick: Callable[[float], None],
) -> None:
    """Block until all `targets` have ended; arguments and errors as for `await_end`."""
    begin = last_tick = time.monotonic()
    running = list(targets)
    while running:
        try:
            event = events.get(timeout=TICK_S)
        except Empty:
            event = None
        ended = next((target for target in running if target is event), None)
        if event is not None and (ended is None or ended.state.state not in NORMAL_ENDS):
            raise cause_of_end(event)
        if ended is not None:
            running.remove(ended)
        now = time.monotonic()
        if running and now - last_tick >= TICK_S:
            last_tick = now
            on_tick(now - begin)


def raise_pending(events: Events) -> None:
    """Raise an interrupt that arrived while nothing waited; discard all other events.

    Raises:
        Interrupted: the controller was asked to stop.
    """
    while not events.empty():
        event = events.get()
        if isinstance(event, BaseException):
            raise event


def cause_of_end(event: RemoteProcess | Unresponsive | BaseException) -> BaseException:
    """Return the error with which an event ends the night."""
    if isinstance(event, BaseException):
        return event
    if isinstance(event, Unresponsive):
        return explain_end(event.process, event.symptom)
    return explain_end(event)


def without_health_probes(lines: Sequence[str]) -> tuple[str, ...]:
    """Drop the log lines that this runner's own health probes cause."""
    return tuple(line for line in lines if HEALTH_PROBE not in line)


def explain_end(process: RemoteProcess, symptom: str = "") -> HostLost | ProcessDied:
    """Explain an unexpected end from the process's state and log.

    Args:
        process: a process that has ended, or no longer serves.
        symptom: how the failure was detected, if the process is still alive.
    """
    state = process.state
    if process.why_lost:
        return HostLost(f"lost {process.host}: {process.why_lost}")
    lines, unread = tail_of(process, READ_LINES)
    log = without_health_probes(lines)
    cause = None if state.state in ABNORMAL_ENDS else _reason_in(log, state, unread=bool(unread))
    reason = ABNORMAL_ENDS.get(state.state) or (cause.message if cause else "")
    # An expired lease ends every process of the host, so the order of their reports is irrelevant.
    whole_host = state.state == "lease_expired"
    reason = ": ".join(filter(None, ("" if whole_host else symptom, reason))) or str(state)
    reason += f"; its log cannot be read: {unread}" if unread else ""
    tail = log[-TAIL_LINES:]
    if whole_host:
        return ProcessDied(process.host, reason, tail, from_log=False)
    return ProcessDied(
        process.name,
        reason,
        tail,
        host=process.host,
        from_log=state.state not in ABNORMAL_ENDS,
        killed=cause is not None and cause.killed,
    )


def _reason_in(log: Sequence[str], state: ProcessState, *, unread: bool) -> Reason | None:
    """Find the reason in the log or the exit status; None if neither has a reason."""
    from ci.explain.classify import classify  # noqa: PLC0415 - only for an end that is not expected

    failure = classify("\n".join(log), state.exit_code, state.signal)
    return None if unread and failure.kind == "unknown" else failure
