"""Wait until a server is ready: processes alive, health 200, and tokens in a completion.

Probes run in a separate thread, so that a hanging completion does not delay the report of a
process's end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from queue import Empty
from typing import TYPE_CHECKING

from ci.errors import NotReady
from ci.run.events import cause_of_end, explain_end
from ci.serve import probe
from ci.serve.refusal import Refusals, explain, unaskable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ci.agent.process import RemoteProcess
    from ci.run.events import Events
    from ci.serve.ask import Ask
    from ci.serve.probe import ProbeResult
    from ci.tools.model import Endpoint

# Longest delay until a probe's result is noticed; an event is noticed immediately.
POLL_S = 0.1
TICK_S = 1.0
HEALTH_TIMEOUT_S = 5.0
# The first completion may compile kernels.
COMPLETION_TIMEOUT_S = 120.0
# Between probes: short at first, so that a server that starts fast is noticed soon, then longer.
SHORTEST_INTERVAL_S = 0.25
LONGEST_INTERVAL_S = 1.0
SLOWDOWN = 120.0


@dataclass(frozen=True)
class Readiness:
    """Whether a server is ready; if not, the pending condition.

    Attributes:
        refused: why waiting is of no use; empty while it may be.
    """

    ready: bool
    waiting_for: str
    refused: str = ""


def judge_readiness(
    health: ProbeResult | None,
    completion: ProbeResult | None,
    missing: Collection[int] = (),
) -> Readiness:
    """Decide from the latest probes.

    Args:
        health: the latest health probe; None if there was none yet.
        completion: the latest completion; None if there was none yet.
        missing: data-parallel ranks that do not appear in the server's metrics.
    """
    if health is None or not health.ok:
        return Readiness(ready=False, waiting_for=f"health 200 ({_last(health)})")
    if completion is None or not completion.ok:
        return Readiness(ready=False, waiting_for=f"a completion with tokens ({_last(completion)})")
    if missing:
        waiting = f"data-parallel rank {', '.join(map(str, sorted(missing)))} in its metrics"
        return Readiness(ready=False, waiting_for=waiting)
    return Readiness(ready=True, waiting_for="")


def await_ready(  # noqa: PLR0913, PLR0917 - the wait depends on all of them
    processes: Sequence[RemoteProcess],
    endpoint: Endpoint,
    ask: Ask,
    events: Events,
    deadline_s: float,
    on_progress: Callable[[str, float], None],
    *,
    ranks: int | None = None,
    host: str = "",
    health_url: str | None = None,
) -> None:
    """Block until the endpoint returns a completion with tokens while every process is alive.

    Args:
        processes: the processes that have to stay alive.
        endpoint: the endpoint to probe.
        ask: sends the probes.
        events: receives every process that ends, and the exception of an interrupt.
        deadline_s: seconds to wait at most.
        on_progress: called about once a second with the pending condition and the seconds waited.
        ranks: number of data-parallel ranks that have to appear in the server's metrics.
        host: the endpoint's host, for the message.
        health_url: the health URL; None for `/health` of the endpoint.

    Raises:
        ProcessDied: a process ended; the message has the reason found in its log.
        NotReady: the deadline passed; the message has the pending condition and its duration. Or
            a healthy server has refused every completion for several seconds, or no tool can verify
            its certificate.
        Interrupted: the controller was asked to stop.
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
        name = f"{host}: {endpoint.url}" if host else endpoint.url
        _watch(processes, events, latest, begin, deadline_s, on_progress, name)
    finally:
        done.set()


def _watch(  # noqa: PLR0913, PLR0917 - the loop needs all of them
    processes: Sequence[RemoteProcess],
    events: Events,
    latest: deque[Readiness],
    begin: float,
    deadline_s: float,
    on_progress: Callable[[str, float], None],
    name: str,
) -> None:
    pending, since, last_tick = "", begin, begin
    while True:
        raise_if_ended(processes, events)
        now, readiness = time.monotonic(), latest[-1]
        if readiness.ready:
            return
        if readiness.refused:
            raise NotReady(f"{name} {readiness.refused}")
        if readiness.waiting_for != pending:
            pending, since = readiness.waiting_for, now
        if now - begin >= deadline_s:
            raise NotReady(
                f"{name} is not ready after {round(deadline_s, 1):g} s: still waiting for "
                f"{pending}, unchanged for {now - since:.0f} s; see the servers' logs, or raise "
                "ready_timeout_s in the case",
            )
        if now - last_tick >= TICK_S:
            last_tick = now
            on_progress(pending, now - begin)


def raise_if_ended(
    processes: Sequence[RemoteProcess],
    events: Events,
) -> None:
    """Wait `POLL_S` for an event; raise the cause of any event, or of a process that has ended."""
    try:
        event = events.get(timeout=POLL_S)
    except Empty:
        ended = next((process for process in processes if process.ended.is_set()), None)
        if ended is not None:
            raise explain_end(ended) from None
        return
    raise cause_of_end(event)


def _probe_until(  # noqa: PLR0913, PLR0917 - everything that the thread needs
    done: threading.Event,
    endpoint: Endpoint,
    health_url: str,
    ask: Ask,
    ranks: int,
    latest: deque[Readiness],
    deadline: float,
) -> None:
    begin = time.monotonic()
    completion: ProbeResult | None = None
    missing = set(range(ranks))
    refusals = Refusals()
    while not done.is_set():
        health = probe.health(ask, health_url, HEALTH_TIMEOUT_S)
        completion = completion if health.ok else None
        if not health.ok:
            refusals = Refusals()
        untrusted = unaskable(health.error, health.untrusted)
        latest.append(replace(judge_readiness(health, completion, missing), refused=untrusted))
        left_s = deadline - time.monotonic()
        if health.ok and left_s > 0:
            completion = probe.completion(ask, endpoint, min(COMPLETION_TIMEOUT_S, left_s))
            if completion.ok and ranks:
                missing = set(range(ranks)) - probe.ranks(ask, endpoint)
            readiness = judge_readiness(health, completion, missing)
            refusals = refusals.after(completion, time.monotonic())
            if refusals.are_final(time.monotonic()):
                served = probe.served_models(ask, endpoint)
                why = explain(completion, endpoint.model, served)
                refused = f"answers health 200 but refuses every completion: {why}"
                readiness = replace(readiness, refused=refused)
            latest.append(readiness)
        elapsed_s = time.monotonic() - begin
        done.wait(min(LONGEST_INTERVAL_S, max(SHORTEST_INTERVAL_S, elapsed_s / SLOWDOWN)))


def _last(result: ProbeResult | None) -> str:
    return "no reply yet" if result is None else result.error
