"""End one server after the other, and compare the router's health with what it answers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty
from typing import TYPE_CHECKING

from ci.judge.router_health import OK, AfterEnd
from ci.run.events import Unresponsive, cause_of_end
from ci.serve import probe
from ci.serve.ask import ask_from

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.agent.process import RemoteProcess
    from ci.plan.model import Plan, PlannedProcess
    from ci.run.processes import Processes

# A request that is not answered in this time hangs: its answer has a few tokens.
REQUEST_S = 20.0
# A router may look at its servers only now and then.
NOTICE_S = 15.0
LOOK_S = 0.5


def ends_of_servers(
    plan: Plan, started: Sequence[RemoteProcess], processes: Processes
) -> Iterator[AfterEnd]:
    """End a prefill server, a decode server and the router, and look at the router after each.

    Args:
        plan: a plan with a router, and servers of both roles behind it.
        started: its processes, in the order of `plan.processes`.
        processes: the processes of the run; the ends are taken from its events.

    Yields:
        What the router did after each end. The deployment serves nothing afterwards.

    Raises:
        InfrastructureError: a host does not answer.
        Interrupted: the controller was asked to stop.
    """
    by_name = dict(zip((process.name for process in plan.processes), started, strict=True))
    for victim in victims(plan):
        by_name[victim.name].stop(grace_s=0)
        _raise_unwanted(processes)
        yield _look(plan, victim, processes)
        _raise_unwanted(processes)


def victims(plan: Plan) -> tuple[PlannedProcess, ...]:
    """Return the processes to end: the last server of each role with an API, then the router."""
    last = {server.role: server for server in plan.servers if server.health_url}
    found = [last[role] for role in ("prefill", "decode", "mixed") if role in last]
    return (*found, *([plan.router] if plan.router else []))


def _look(plan: Plan, victim: PlannedProcess, processes: Processes) -> AfterEnd:
    ask = ask_from(processes.agents[plan.leader], plan.access)
    # Enough for every server to have its turn.
    count = 2 * max(1, sum(server.role == victim.role for server in plan.servers))
    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        asked = [pool.submit(probe.completion, ask, plan.endpoint, REQUEST_S) for _ in range(count)]
        unanswered = tuple(result.error for each in asked if not (result := each.result()).ok)
    url = plan.router.health_url if plan.router else None
    status = probe.health(ask, url or "", REQUEST_S).status
    while unanswered and status == OK and time.monotonic() - began < NOTICE_S:
        time.sleep(LOOK_S)
        _raise_unwanted(processes)  # so that Ctrl-C is not kept waiting
        status = probe.health(ask, url or "", REQUEST_S).status
    return AfterEnd(victim.name, count, unanswered, status, time.monotonic() - began)


def _raise_unwanted(processes: Processes) -> None:
    """Take the ends from the events: others of the deployment may follow the wanted one.

    Raises:
        HostLost: contact with a host was lost.
        Interrupted: the controller was asked to stop.
    """
    while True:
        try:
            event = processes.events.get_nowait()
        except Empty:
            return
        if isinstance(event, BaseException):
            raise event
        if not isinstance(event, Unresponsive) and event.why_lost:
            raise cause_of_end(event)
