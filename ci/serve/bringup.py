"""Start a plan's servers in order, and wait until the endpoint returns a completion."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.agent.process_spec import LaunchRequest
from ci.serve.ask import Answering, ask_from
from ci.serve.probe import completion, tokens_generated
from ci.serve.readiness import await_ready
from ci.serve.services import await_accepting, await_healthy
from ci.serve.watch import PULSE_TIMEOUT_S, Pulse, watch_health, watch_pulse
from ci.tools.model import Endpoint
from ci.vllm.api import key_in_env

# Placeholders in a plan: the run's id and its host's folder are known once the night has started.
RUN, RUN_ON_HOST = "<run>", "<host>/<run>"

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Plan, PlannedProcess
    from ci.run.processes import Processes


def bring_up(plan: Plan, processes: Processes) -> list[RemoteProcess]:
    """Start all processes in order and block until the endpoint returns a completion with tokens.

    The services start first, until all of their ports accept; then all servers in parallel; then
    the router, once every server with a health URL is healthy.

    Returns:
        The started processes, in the order of `plan.processes`.

    Raises:
        ProcessDied: a process ended; the message has the reason found in its log.
        NotReady: the case's `ready_timeout_s` passed; the message has the pending condition.
        Interrupted: the controller was asked to stop.
    """
    deadline = time.monotonic() + plan.case.ready_timeout_s
    started = _start(plan.services, processes)
    await_accepting(plan.services, started, processes, deadline)
    servers = _start(plan.servers, processes)
    started += servers
    if plan.router:
        await_healthy(answering(plan.servers, servers), started, processes, deadline)
        started += _start((plan.router,), processes)
    await_ready(
        started,
        plan.endpoint,
        ask_from(processes.agents[plan.leader], plan.access),
        processes.events,
        deadline - time.monotonic() if plan.services or plan.router else plan.case.ready_timeout_s,
        processes.show_progress,
        ranks=plan.ranks,
        host=plan.leader,
        health_url=plan.router.health_url if plan.router else None,
    )
    return started


def _start(planned: Sequence[PlannedProcess], processes: Processes) -> list[RemoteProcess]:
    """Start processes in parallel, each after its input files have been written."""
    return processes.launch_all([_launch(process, processes) for process in planned])


def _launch(process: PlannedProcess, processes: Processes) -> LaunchRequest:
    own = f"{processes.agents[process.host].own_name}/{processes.run}"

    def with_run(text: str) -> str:
        return text.replace(RUN_ON_HOST, own).replace(RUN, processes.run)

    for path, text in process.files.items():
        folder = processes.inputs(process.host, process.name)
        processes.agents[process.host].write(f"{folder}/{path}", with_run(text).encode())
    argv, env = key_in_env(process.argv, process.env)
    env = {name: with_run(value) for name, value in env.items()}
    argv = tuple(map(with_run, argv))
    return LaunchRequest(
        process.host, process.name, argv, env, cwd=process.cwd, env_script=process.env_script
    )


def answering(
    planned: Sequence[PlannedProcess],
    started: Sequence[RemoteProcess],
) -> list[Answering]:
    """Return the started processes that have a health URL."""
    pairs = zip(started, planned, strict=True)
    return [
        Answering(server, process.health_url, process.access)
        for server, process in pairs
        if process.health_url
    ]


@contextmanager
def watch_servers(
    plan: Plan, started: Sequence[RemoteProcess], processes: Processes
) -> Iterator[None]:
    """While inside, end the current wait when a live server no longer serves.

    Args:
        plan: the plan of the night.
        started: its processes, in the order of `plan.processes`; with none, nothing is watched.
        processes: the processes of the run.
    """
    if not started:
        yield
        return
    pairs = list(zip(started, plan.processes, strict=True))
    servers = [
        (server, process) for server, process in pairs if process.role not in {"router", "service"}
    ]
    healthy = answering([process for _, process in servers], [server for server, _ in servers])
    ask = ask_from(processes.agents[plan.leader], plan.access)
    pulse = Pulse(
        front=next(item for item, process in reversed(pairs) if process.host == plan.leader),
        tokens=lambda: tokens_of(healthy, processes.agents),
        complete=lambda: completion(ask, plan.endpoint, PULSE_TIMEOUT_S),
    )
    with (
        watch_health(healthy, processes.agents, processes.events),
        watch_pulse(pulse, processes.events),
    ):
        yield


def tokens_of(servers: Sequence[Answering], agents: Mapping[str, Agent]) -> float | None:
    """Add up the tokens that all servers have generated, from the metrics of each.

    The metrics are read from each server on its own host: a router does not add them up.

    Args:
        servers: the servers with a health URL.
        agents: host → agent.

    Returns:
        The number of tokens; None if no server has such a metric.
    """
    counts = [
        tokens_generated(
            ask_from(agents[server.process.host], server.access), _endpoint(server.url)
        )
        for server in servers
    ]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _endpoint(health_url: str) -> Endpoint:
    parts = urlsplit(health_url)
    return Endpoint(parts.hostname or "", parts.port or 0, "", parts.scheme)
