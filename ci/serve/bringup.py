"""Start a plan's servers in order, and wait until the endpoint really answers."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.agent.process import Launch
from ci.serve.probe import asked_on, completion, tokens_generated
from ci.serve.readiness import await_ready
from ci.serve.services import await_accepting, await_healthy
from ci.serve.watch import PULSE_TIMEOUT_S, Pulse, health_watched, pulse_watched
from ci.tools.model import Endpoint

# Stands in a plan for what is known only once a night has begun.
RUN = "<run>"

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.plan.model import Plan, PlannedProcess
    from ci.run.processes import Processes


def bring_up(plan: Plan, processes: Processes) -> list[Supervised]:
    """Start everything in order and block until the endpoint gave a completion with a token in it.

    Services come first, until all of their ports accept; then the servers, all at once; then the
    router, once every server that answers requests is healthy.

    Returns:
        What was started, in the order of `plan.processes`.

    Raises:
        ProcessDied: a process ended; the message is the reason found in its log.
        NotReady: the case's `ready_timeout_s` passed; the message is what was last seen.
        Interrupted: the controller was told to stop.
    """
    deadline = time.monotonic() + plan.case.ready_timeout_s
    started = _start(plan.services, processes)
    await_accepting(plan.services, started, processes, deadline)
    servers = _start(plan.servers, processes)
    started += servers
    if plan.router:
        await_healthy(with_health(plan.servers, servers), started, processes, deadline)
        started += _start((plan.router,), processes)
    await_ready(
        started,
        plan.endpoint,
        asked_on(processes.agents[plan.leader]),
        processes.events,
        deadline - time.monotonic() if plan.services or plan.router else plan.case.ready_timeout_s,
        processes.tell,
        ranks=plan.ranks,
        where=plan.leader,
        health_url=plan.router.health_url if plan.router else None,
    )
    return started


def _start(wanted: Sequence[PlannedProcess], processes: Processes) -> list[Supervised]:
    """Start processes at once, each with the files that it is to find."""
    return processes.launch_all([_launch(one, processes) for one in wanted])


def _launch(one: PlannedProcess, processes: Processes) -> Launch:
    def here(text: str) -> str:
        return text.replace(RUN, processes.run)

    for path, text in one.files.items():
        folder = processes.inputs(one.host, one.name)
        processes.agents[one.host].write(f"{folder}/{path}", here(text).encode())
    env = {name: here(value) for name, value in one.env.items()}
    return Launch(one.host, one.name, tuple(map(here, one.argv)), env, cwd=one.cwd)


def with_health(
    planned: Sequence[PlannedProcess],
    started: Sequence[Supervised],
) -> list[tuple[Supervised, str]]:
    """Those that have a health URL, each with it."""
    pairs = zip(started, planned, strict=True)
    return [(one, process.health_url) for one, process in pairs if process.health_url]


@contextmanager
def watched(plan: Plan, started: Sequence[Supervised], processes: Processes) -> Iterator[None]:
    """While inside, what is dead though its process lives ends whatever is awaited.

    Args:
        plan: of the night.
        started: in the order of `plan.processes`.
        processes: of the run.
    """
    pairs = list(zip(started, plan.processes, strict=True))
    servers = [
        (one, process) for one, process in pairs if process.role not in {"router", "service"}
    ]
    healthy = with_health([process for _, process in servers], [one for one, _ in servers])
    ask = asked_on(processes.agents[plan.leader])
    pulse = Pulse(
        front=next(one for one, process in reversed(pairs) if process.host == plan.leader),
        tokens=lambda: tokens_of(healthy, processes.agents),
        complete=lambda: completion(ask, plan.endpoint, PULSE_TIMEOUT_S),
    )
    with (
        health_watched(healthy, processes.agents, processes.events),
        pulse_watched(pulse, processes.events),
    ):
        yield


def tokens_of(
    servers: Sequence[tuple[Supervised, str]], agents: Mapping[str, Agent]
) -> float | None:
    """Sum up the tokens that all servers have generated, each asked on its own host.

    A router in front of them has metrics of its own, or none.

    Args:
        servers: each with its health URL.
        agents: host → agent.

    Returns:
        None where not one of them tells.
    """
    counts = [
        tokens_generated(asked_on(agents[process.host]), _endpoint(url)) for process, url in servers
    ]
    told = [count for count in counts if count is not None]
    return sum(told) if told else None


def _endpoint(health_url: str) -> Endpoint:
    parts = urlsplit(health_url)
    return Endpoint(parts.hostname or "", parts.port or 0, "")
