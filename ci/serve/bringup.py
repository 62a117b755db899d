"""Start a plan's servers in order, and wait until the endpoint really answers."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.hosts.process import Launch
from ci.serve.probe import asked_on
from ci.serve.readiness import await_ready
from ci.serve.watch import health_watched, pulse_watched

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.hosts.process import Supervised
    from ci.plan.model import Plan
    from ci.serve.processes import Processes


def bring_up(plan: Plan, processes: Processes) -> list[Supervised]:
    """Start every server and block until the endpoint gave a completion with a token in it.

    Returns:
        The servers, in the plan's order.

    Raises:
        ProcessDied: a server ended; the message is the reason found in its log.
        NotReady: the case's `ready_timeout_s` passed; the message is what was last seen.
        Interrupted: the controller was told to stop.
    """
    started = processes.launch_all(
        [Launch(server.host, server.name, server.argv, server.env) for server in plan.processes]
    )
    await_ready(
        started,
        plan.endpoint,
        asked_on(processes.agents[plan.leader]),
        processes.events,
        plan.case.ready_timeout_s,
        processes.tell,
        ranks=plan.ranks,
        where=plan.leader,
    )
    return started


@contextmanager
def watched(plan: Plan, servers: Sequence[Supervised], processes: Processes) -> Iterator[None]:
    """While inside, servers that are dead though their processes live end whatever is awaited."""
    pairs = zip(servers, plan.processes, strict=True)
    with_health = [(one, planned.health_url) for one, planned in pairs if planned.health_url]
    head = next(one for one in servers if one.host == plan.leader)
    ask = asked_on(processes.agents[plan.leader])
    with (
        health_watched(with_health, processes.agents, processes.events),
        pulse_watched(head, plan.endpoint, ask, processes.events),
    ):
        yield
