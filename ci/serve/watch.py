"""Watch the servers of a run: their health, and whether they still generate."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ci.run.events import Unwell
from ci.serve import probe

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.run.events import Events
    from ci.serve.probe import Ask
    from ci.tools.model import Endpoint

# Twice in a row within a second.
HEALTH_EVERY_S = 0.4
HEALTH_TIMEOUT_S = 2.0
UNAVAILABLE = 503
SICK_FOR_GOOD = 2
# A completion of one token each half minute; under load it may have to queue.
PULSE_EVERY_S = 30.0
PULSE_TIMEOUT_S = 60.0


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


@contextmanager
def pulse_watched(  # noqa: PLR0913 - how often and how long are chosen by tests
    server: Supervised,
    endpoint: Endpoint,
    ask: Ask,
    events: Events,
    *,
    every_s: float = PULSE_EVERY_S,
    timeout_s: float = PULSE_TIMEOUT_S,
) -> Iterator[None]:
    """While inside, a server that answers nothing and generates nothing ends whatever is awaited.

    vLLM's health stays 200 while requests hang, when a data-parallel rank on another host is gone.
    Under load a completion may have to queue; so one that does not come counts only where no other
    token was generated meanwhile either.

    Args:
        server: who stands behind the endpoint.
        endpoint: where to ask.
        ask: from where.
        events: gets an `Unwell`.
        every_s: between two completions.
        timeout_s: for one.
    """
    done = threading.Event()

    def watch() -> None:
        before = probe.tokens_generated(ask, endpoint)
        while not done.wait(every_s):
            seen = probe.completion(ask, endpoint, timeout_s)
            now = probe.tokens_generated(ask, endpoint)
            if not seen.ok and not done.is_set() and now == before:
                sign = (
                    f"no completion and no token any more ({seen.error}), though its process lives"
                )
                events.put(Unwell(server, sign))
                return
            before = now

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
