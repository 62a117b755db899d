"""Watch the servers of a run: their health, and whether they still generate tokens."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.run.events import Unresponsive
from ci.serve.ask import Answering, question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.run.events import Events
    from ci.serve.probe import ProbeResult

# Two checks in a row fit into a second.
HEALTH_EVERY_S = 0.4
HEALTH_TIMEOUT_S = 2.0
UNAVAILABLE = 503
UNAVAILABLE_TIMES = 2
# Metrics are read every half minute; a completion may have to queue.
PULSE_EVERY_S = 30.0
PULSE_TIMEOUT_S = 60.0
# Without metrics a queued completion looks like a completion that hangs.
MAX_SILENT_PROBES = 3


@contextmanager
def watch_health(
    servers: Sequence[Answering],
    agents: Mapping[str, Agent],
    events: Events,
) -> Iterator[None]:
    """While inside, two consecutive health replies 503 of a server end the current wait.

    vLLM replies 503 as soon as its engine is dead, but its process runs for some seconds more and
    then exits with 0, so its end alone would be noticed late. Other results, such as a timeout
    under load, are ignored: ended processes are reported anyway. Each host probes its own servers
    and reports only changes.

    Args:
        servers: the servers with a health URL.
        agents: host → agent.
        events: receives an `Unresponsive`.
    """
    checks = [
        (agents[server.process.host], _begin_check(server, agents, events)) for server in servers
    ]
    try:
        yield
    finally:
        for agent, number in checks:
            agent.forget("check", number)
            agent.ask("end_check", check=number)


def _begin_check(server: Answering, agents: Mapping[str, Agent], events: Events) -> int:
    process = server.process

    def on_frame(frame: dict[str, Any], _: bytes) -> None:
        if frame.get("reply", {}).get("status") == UNAVAILABLE:
            events.put(Unresponsive(process, "its health is 503, so its engine is dead"))

    return agents[process.host].begin(
        "check",
        "check",
        on_frame,
        question=question(server.url, HEALTH_TIMEOUT_S, server.access),
        every_s=HEALTH_EVERY_S,
        times=UNAVAILABLE_TIMES,
    )


@dataclass(frozen=True)
class Pulse:
    """How to detect that servers no longer generate tokens.

    Attributes:
        front: the process that serves the endpoint.
        tokens: returns the number of tokens that all servers have generated; None without metrics.
        complete: requests a completion from the endpoint.
        every_s: seconds between two readings of `tokens`.
    """

    front: RemoteProcess
    tokens: Callable[[], float | None]
    complete: Callable[[], ProbeResult]
    every_s: float = PULSE_EVERY_S


@contextmanager
def watch_pulse(pulse: Pulse, events: Events) -> Iterator[None]:
    """While inside, servers that neither reply nor generate tokens end the current wait.

    vLLM's health stays 200 while requests hang, if a data-parallel rank on another host is gone.
    As long as tokens are generated, only the metrics are read, so that no probe disturbs a
    measurement. If no token was generated since the last reading, a completion is requested. Under
    load it may have to queue, so a missing completion counts only if no token was generated
    meanwhile; without metrics, only after `MAX_SILENT_PROBES` in a row.

    Args:
        pulse: how to detect it.
        events: receives an `Unresponsive`.
    """
    done = threading.Event()
    thread = threading.Thread(target=_poll_pulse, args=(pulse, events, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _poll_pulse(pulse: Pulse, events: Events, done: threading.Event) -> None:
    before, silent = pulse.tokens(), 0
    while not done.wait(pulse.every_s):
        now = pulse.tokens()
        if now != before:
            before, silent = now, 0
            continue
        completion = pulse.complete()
        before = pulse.tokens()
        silent = 0 if completion.ok or (before is not None and before != now) else silent + 1
        has_metrics = before is not None and now is not None
        if silent >= (1 if has_metrics else MAX_SILENT_PROBES) and not done.is_set():
            symptom = (
                f"it completes no request and generates no token ({completion.error}), though its "
                "process is alive"
            )
            events.put(Unresponsive(pulse.front, symptom))
            return
