"""Wait for the ports of services and for the health of each server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ci.agent.ask_all import gather
from ci.errors import LamplighterError, NotReady
from ci.serve.ask import OK, Answering, question
from ci.serve.readiness import TICK_S, raise_if_ended
from ci.serve.refusal import unaskable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import PlannedProcess
    from ci.run.processes import Processes

HEALTH_EVERY_S = 1.0
HEALTH_TIMEOUT_S = 5.0
ANSWER_S = 10.0


def await_accepting(
    services: Sequence[PlannedProcess],
    started: Sequence[RemoteProcess],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until every port of every service accepts a connection.

    Args:
        services: the services of the plan.
        started: processes that have to stay alive meanwhile.
        processes: the processes of the run.
        deadline: time on the monotonic clock, in seconds.

    Raises:
        ProcessDied, NotReady, Interrupted: as `await_ready`.
    """
    ports = [(service, port) for service in services for port in service.ports]

    def missing() -> list[str]:
        requests = {
            f"{service.name}: port {port} of {service.host}": (
                processes.agents[service.host],
                processes.agents[service.host].ask("accepts", port=port),
            )
            for service, port in ports
        }
        outcomes = gather(
            [(name, agent, "accepts", future) for name, (agent, future) in requests.items()],
            ANSWER_S,
        )
        return [
            name
            for name, answer in outcomes.items()
            if isinstance(answer, LamplighterError) or not answer.value
        ]

    _await_none(missing, started, processes, deadline)


def await_healthy(
    servers: Sequence[Answering],
    started: Sequence[RemoteProcess],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until every server's health is 200; each host probes its own servers.

    Args:
        servers: the servers with a health URL.
        started: processes that have to stay alive meanwhile.
        processes: the processes of the run.
        deadline: time on the monotonic clock, in seconds.

    Raises:
        ProcessDied, NotReady, Interrupted: as `await_ready`.
    """
    errors: dict[str, str] = {server.process.name: "no reply yet" for server in servers}
    hosts = {server.process.name: server.process.host for server in servers}
    refused: list[str] = []

    def missing() -> list[str]:
        if refused:
            raise NotReady(refused[0])
        return [
            f"{name} on {hosts[name]}: health 200 ({error})"
            for name, error in errors.items()
            if error
        ]

    def store(name: str) -> Callable[[dict[str, Any], bytes], None]:
        def on_frame(frame: dict[str, Any], _: bytes) -> None:
            health = frame.get("reply", {"status": None, "error": frame.get("lost", "")})
            status = health["status"]
            errors[name] = "" if status == OK else health["error"] or f"HTTP {status}"
            if why := unaskable(errors[name], health.get("untrusted", "")):
                refused.append(f"{name} on {hosts[name]} {why}")

        return on_frame

    checks = [_begin_check(server, processes, store(server.process.name)) for server in servers]
    try:
        _await_none(missing, started, processes, deadline)
    finally:
        for agent, number in checks:
            agent.forget("check", number)
            agent.ask("end_check", check=number)


def _begin_check(
    server: Answering, processes: Processes, on_frame: Callable[[dict[str, Any], bytes], None]
) -> tuple[Agent, int]:
    agent = processes.agents[server.process.host]
    request = question(server.url, HEALTH_TIMEOUT_S, server.access)
    number = agent.begin(
        "check", "check", on_frame, question=request, every_s=HEALTH_EVERY_S, times=1
    )
    return agent, number


def _await_none(
    missing: Callable[[], list[str]],
    started: Sequence[RemoteProcess],
    processes: Processes,
    deadline: float,
) -> None:
    """Block until `missing` returns nothing, while all started processes are alive."""
    began = last_tick = time.monotonic()
    while conditions := missing():
        raise_if_ended(started, processes.events)
        now = time.monotonic()
        further = f", and {len(conditions) - 1} more" if conditions[1:] else ""
        pending = conditions[0] + further
        if now >= deadline:
            raise NotReady(
                f"not ready after {now - began:.0f} s: still waiting for {pending}; see the logs, "
                "or raise ready_timeout_s in the case"
            )
        if now - last_tick >= TICK_S:
            last_tick = now
            processes.show_progress(pending, now - began)
