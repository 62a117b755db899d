"""Wait for what stands around the servers' endpoint: services behind, each server by itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ci.agent.ask_all import gather
from ci.errors import LamplighterError, NotReady
from ci.serve.probe import OK
from ci.serve.readiness import TICK_S, raise_if_ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.agent.process import Supervised
    from ci.plan.model import PlannedProcess
    from ci.run.processes import Processes

HEALTH_EVERY_S = 1.0
HEALTH_TIMEOUT_S = 5.0
ANSWER_S = 10.0


def await_accepting(
    services: Sequence[PlannedProcess],
    started: Sequence[Supervised],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until every port of every service accepts a connection.

    Args:
        services: as planned.
        started: what has to live meanwhile.
        processes: of the run.
        deadline: on the monotonic clock.

    Raises:
        ProcessDied, NotReady, Interrupted: as `await_ready`.
    """
    wanted = [(one, port) for one in services for port in one.ports]

    def missing() -> list[str]:
        asked = {
            f"{one.name}: port {port} of {one.host}": (
                processes.agents[one.host],
                processes.agents[one.host].ask("accepts", port=port),
            )
            for one, port in wanted
        }
        outcomes = gather(
            [(name, agent, "accepts", future) for name, (agent, future) in asked.items()], ANSWER_S
        )
        return [
            name
            for name, answer in outcomes.items()
            if isinstance(answer, LamplighterError) or not answer.value
        ]

    _await_none(missing, started, processes, deadline)


def await_healthy(
    servers: Sequence[tuple[Supervised, str]],
    started: Sequence[Supervised],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until the health of every server says 200, each asked by its own host.

    Args:
        servers: each with its health URL.
        started: what has to live meanwhile.
        processes: of the run.
        deadline: on the monotonic clock.

    Raises:
        ProcessDied, NotReady, Interrupted: as `await_ready`.
    """
    seen: dict[str, str] = {server.name: "no answer yet" for server, _ in servers}
    hosts = {server.name: server.host for server, _ in servers}

    def hear(name: str) -> Callable[[dict[str, Any], bytes], None]:
        def take(frame: dict[str, Any], _: bytes) -> None:
            told = frame.get("seen", {"status": None, "error": frame.get("lost", "")})
            seen[name] = "" if told["status"] == OK else told["error"] or f"HTTP {told['status']}"

        return take

    patrols = [
        (
            processes.agents[server.host],
            processes.agents[server.host].begin(
                "patrol",
                "patrol",
                hear(server.name),
                question={"method": "GET", "url": url, "timeout_s": HEALTH_TIMEOUT_S},
                every_s=HEALTH_EVERY_S,
                times=1,
            ),
        )
        for server, url in servers
    ]
    try:
        _await_none(
            lambda: [f"{n} on {hosts[n]}: health 200 ({w})" for n, w in seen.items() if w],
            started,
            processes,
            deadline,
        )
    finally:
        for agent, number in patrols:
            agent.forget("patrol", number)
            agent.ask("unpatrol", patrol=number)


def _await_none(
    missing: Callable[[], list[str]],
    started: Sequence[Supervised],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until nothing is missing, while everything lives."""
    began = told = time.monotonic()
    while left := missing():
        raise_if_ended(started, processes.events)
        now = time.monotonic()
        what = left[0] + (f", and {len(left) - 1} more" if left[1:] else "")
        if now >= deadline:
            raise NotReady(
                f"not ready after {now - began:.0f} s: still waiting for {what}; see the logs, or "
                "raise ready_timeout_s in the case"
            )
        if now - told >= TICK_S:
            told = now
            processes.tell(what, now - began)
