"""Wait until a server really answers: its processes alive, health 200, and tokens in a completion.

Probes run in a thread of their own, so that a hanging completion never hides a process's end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING

from ci.errors import NotReady
from ci.run.events import cause_of_end, died
from ci.serve import probe

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ci.agent.process import Supervised
    from ci.run.events import Events
    from ci.serve.probe import Ask, Seen
    from ci.tools.model import Endpoint

# How soon a probe's answer is noticed; an event is noticed at once.
POLL_S = 0.1
TICK_S = 1.0
HEALTH_TIMEOUT_S = 5.0
# The first completion may compile kernels.
COMPLETION_TIMEOUT_S = 120.0
# Between probes: often at first, so that a quick server is not kept waiting, then more seldom.
SHORTEST_INTERVAL_S = 0.25
LONGEST_INTERVAL_S = 1.0
SLOWDOWN = 120.0


@dataclass(frozen=True)
class Readiness:
    """Whether a server is ready, and if not, what it is that is waited for."""

    ready: bool
    waiting_for: str


def judge_readiness(
    health: Seen | None,
    completion: Seen | None,
    missing: Collection[int] = (),
) -> Readiness:
    """Decide from what was last seen.

    Args:
        health: None where nothing has been seen yet.
        completion: likewise.
        missing: data-parallel ranks that the server's metrics do not show.
    """
    if health is None or not health.ok:
        return Readiness(ready=False, waiting_for=f"health 200 ({_last(health)})")
    if completion is None or not completion.ok:
        return Readiness(ready=False, waiting_for=f"a completion with tokens ({_last(completion)})")
    if missing:
        waiting = f"data-parallel rank {', '.join(map(str, sorted(missing)))} in its metrics"
        return Readiness(ready=False, waiting_for=waiting)
    return Readiness(ready=True, waiting_for="")


def await_ready(  # noqa: PLR0913, PLR0917 - all of it is what the wait depends on
    processes: Sequence[Supervised],
    endpoint: Endpoint,
    ask: Ask,
    events: Events,
    deadline_s: float,
    on_progress: Callable[[str, float], None],
    *,
    ranks: int | None = None,
    where: str = "",
    health_url: str | None = None,
) -> None:
    """Block until the endpoint answers a real completion while every process is alive.

    Args:
        processes: what has to be alive for the endpoint to be ours.
        endpoint: where to ask.
        ask: from where.
        events: every process that ends puts itself here at once, an interrupt its exception.
        deadline_s: the longest wait.
        on_progress: called with what is waited for, and for how many seconds it has been, about
            once a second.
        ranks: how many data-parallel ranks the server's metrics have to show.
        where: the endpoint's host, for the message.
        health_url: where its health is asked; None for `/health`.

    Raises:
        ProcessDied: a process ended; with the reason found in its log.
        NotReady: the deadline passed; says what was last seen and for how long.
        Interrupted: the controller was told to stop.
    """
    begin = time.monotonic()
    latest = deque([judge_readiness(None, None)], maxlen=1)
    done = threading.Event()
    threading.Thread(
        target=_probe_until,
        args=(
            *(done, endpoint, health_url or f"{endpoint.url}/health"),
            *(ask, ranks or 0, latest, begin + deadline_s),
        ),
        daemon=True,
    ).start()
    try:
        name = f"{where}: {endpoint.url}" if where else endpoint.url
        _watch(processes, events, latest, begin, deadline_s, on_progress, name)
    finally:
        done.set()


def _watch(  # noqa: PLR0913, PLR0917 - one loop, and this is what it needs
    processes: Sequence[Supervised],
    events: Events,
    latest: deque[Readiness],
    begin: float,
    deadline_s: float,
    on_progress: Callable[[str, float], None],
    name: str,
) -> None:
    last_seen, since, told = "", begin, begin
    while True:
        raise_if_ended(processes, events)
        now, readiness = time.monotonic(), latest[-1]
        if readiness.ready:
            return
        if readiness.waiting_for != last_seen:
            last_seen, since = readiness.waiting_for, now
        if now - begin >= deadline_s:
            raise NotReady(
                f"{name} is not ready after {round(deadline_s, 1):g} s: still waiting for "
                f"{last_seen}, unchanged for {now - since:.0f} s; see the servers' logs, or raise "
                "ready_timeout_s in the case",
            )
        if now - told >= TICK_S:
            told = now
            on_progress(last_seen, now - begin)


def raise_if_ended(
    processes: Sequence[Supervised],
    events: Events,
) -> None:
    """Wait for an event a moment; any one ends the wait, and so does a process found ended."""
    try:
        event = events.get(timeout=POLL_S)
    except Empty:
        ended = next((process for process in processes if process.ended.is_set()), None)
        if ended is not None:
            raise died(ended) from None
        return
    raise cause_of_end(event)


def _probe_until(  # noqa: PLR0913, PLR0917 - the thread's whole world
    done: threading.Event,
    endpoint: Endpoint,
    health_url: str,
    ask: Ask,
    ranks: int,
    latest: deque[Readiness],
    deadline: float,
) -> None:
    begin = time.monotonic()
    completion: Seen | None = None
    missing = set(range(ranks))
    while not done.is_set():
        health = probe.health(ask, health_url, HEALTH_TIMEOUT_S)
        completion = completion if health.ok else None
        latest.append(judge_readiness(health, completion, missing))
        left_s = deadline - time.monotonic()
        if health.ok and left_s > 0:
            completion = probe.completion(ask, endpoint, min(COMPLETION_TIMEOUT_S, left_s))
            if completion.ok and ranks:
                missing = set(range(ranks)) - probe.ranks(ask, endpoint)
            latest.append(judge_readiness(health, completion, missing))
        elapsed_s = time.monotonic() - begin
        done.wait(min(LONGEST_INTERVAL_S, max(SHORTEST_INTERVAL_S, elapsed_s / SLOWDOWN)))


def _last(seen: Seen | None) -> str:
    return "no answer yet" if seen is None else seen.error
