"""Watch the servers of a run: their health, and whether they still generate."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.run.events import Unwell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.run.events import Events
    from ci.serve.probe import Seen

# Twice in a row within a second.
HEALTH_EVERY_S = 0.4
HEALTH_TIMEOUT_S = 2.0
UNAVAILABLE = 503
SICK_FOR_GOOD = 2
# Metrics are looked at each half minute; a completion may have to queue.
PULSE_EVERY_S = 30.0
PULSE_TIMEOUT_S = 60.0
# Without metrics a completion that queues looks like one that hangs.
UNTOLD_SILENCES = 3


@contextmanager
def health_watched(
    servers: Sequence[tuple[Supervised, str]],
    agents: Mapping[str, Agent],
    events: Events,
) -> Iterator[None]:
    """While inside, a server whose health says 503 twice running ends whatever is waited for.

    vLLM answers 503 as soon as its engine is dead, but its own process lives on for seconds and
    then exits with 0, so that its end alone says it late. Anything else, a time-out under load for
    one, says nothing here: processes that end are heard of anyway. Each host asks itself, and says
    only what changes.

    Args:
        servers: each with its health URL.
        agents: host → agent.
        events: gets an `Unwell`.
    """
    patrols = [
        (agents[process.host], _patrol(process, url, agents, events)) for process, url in servers
    ]
    try:
        yield
    finally:
        for agent, number in patrols:
            agent.forget("patrol", number)
            agent.ask("unpatrol", patrol=number)


def _patrol(process: Supervised, url: str, agents: Mapping[str, Agent], events: Events) -> int:
    def hear(frame: dict[str, Any], _: bytes) -> None:
        if frame.get("seen", {}).get("status") == UNAVAILABLE:
            events.put(Unwell(process, "its health says 503, so its engine is dead"))

    question = {"method": "GET", "url": url, "timeout_s": HEALTH_TIMEOUT_S}
    return agents[process.host].begin(
        "patrol",
        "patrol",
        hear,
        question=question,
        every_s=HEALTH_EVERY_S,
        times=SICK_FOR_GOOD,
    )


@dataclass(frozen=True)
class Pulse:
    """How to find out that nothing is generated any more.

    Attributes:
        front: who answers at the endpoint.
        tokens: how many tokens all servers have generated so far; None where they do not tell.
        complete: asks the endpoint for a completion.
        every_s: between two looks at the tokens.
    """

    front: Supervised
    tokens: Callable[[], float | None]
    complete: Callable[[], Seen]
    every_s: float = PULSE_EVERY_S


@contextmanager
def pulse_watched(pulse: Pulse, events: Events) -> Iterator[None]:
    """While inside, servers that answer nothing and generate nothing end whatever is awaited.

    vLLM's health stays 200 while requests hang, when a data-parallel rank on another host is gone.
    As long as tokens are generated, nothing is asked but the metrics: a measurement has the servers
    for itself. Only where none came since the last look, a completion is asked for. Under load it
    may have to queue, so one that does not come counts only where no token was generated meanwhile
    either; where the servers do not tell that, only after several in a row.

    Args:
        pulse: how to find out.
        events: gets an `Unwell`.
    """
    done = threading.Event()
    thread = threading.Thread(target=_watch_pulse, args=(pulse, events, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()


def _watch_pulse(pulse: Pulse, events: Events, done: threading.Event) -> None:
    before, silent = pulse.tokens(), 0
    while not done.wait(pulse.every_s):
        now = pulse.tokens()
        if now != before:
            before, silent = now, 0
            continue
        seen = pulse.complete()
        before = pulse.tokens()
        silent = 0 if seen.ok or (before is not None and before != now) else silent + 1
        told = before is not None and now is not None
        if silent >= (1 if told else UNTOLD_SILENCES) and not done.is_set():
            sign = f"no completion and no token any more ({seen.error}), though its process lives"
            events.put(Unwell(pulse.front, sign))
            return
