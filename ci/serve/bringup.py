"""Start a plan's servers in order, and wait until the endpoint really answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.serve.readiness import await_ready

if TYPE_CHECKING:
    from ci.hosts.process import Supervised
    from ci.plan.model import Plan
    from ci.serve.processes import Processes


def bring_up(plan: Plan, processes: Processes) -> list[tuple[Supervised, str]]:
    """Start every server and block until the endpoint gave a completion with a token in it.

    Returns:
        The servers that have a health URL, each with it.

    Raises:
        ProcessDied: a server ended; the message is the reason found in its log.
        NotReady: the case's `ready_timeout_s` passed; the message is what was last seen.
        Interrupted: the controller was told to stop.
    """
    started = [
        processes.launch(server.host, server.name, server.argv, server.env)
        for server in plan.processes
    ]
    await_ready(
        started,
        plan.endpoint,
        processes.events,
        plan.case.ready_timeout_s,
        processes.tell,
    )
    pairs = zip(started, plan.processes, strict=True)
    return [(process, server.health_url) for process, server in pairs if server.health_url]
