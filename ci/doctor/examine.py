"""Gather facts on all hosts and test the connections between them. Effects, through agents."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.doctor.checks import findings_of
from ci.doctor.datasets import datasets_on
from ci.doctor.installed import installed_before
from ci.doctor.model import Examination, Facts, Pair
from ci.doctor.needs import models_on, ports_on, scripts_on, temporary_folders_on
from ci.errors import InfrastructureError, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from ci.agent.client import Agent
    from ci.inventory.target import Target
    from ci.plan.model import Plan

FACTS_S = 30.0
REACH_S = 3.0
ANSWER_S = 10.0
MAX_PARALLEL = 200  # as ci/remote/requests/reach.py has it

Opened = dict[str, dict[str, Any]]


def examine(  # noqa: PLR0913 - each input is separate
    agents: Mapping[str, Agent],
    plan: Plan,
    targets: Mapping[str, Target],
    *,
    device: str = "",
    silent: Mapping[str, str] | None = None,
    pairs: bool = True,
    run: str = "",
) -> Examination:
    """Examine whether the hosts are fit for a plan, without changing anything on them.

    Args:
        agents: host → agent, for the hosts that could be connected to.
        plan: the plan that will run on the hosts.
        targets: host → its entry in the cluster file, if it has one.
        device: the device kind that the night serves on; empty if unknown.
        silent: host → the error, for hosts that could not be connected to.
        pairs: whether to test the connections between the hosts.
        run: the id of the run that holds the hosts; empty for none.
    """
    facts, no_facts = facts_of(agents, plan)
    no_facts = {**(silent or {}), **no_facts}
    answering = {host: agents[host] for host in facts}
    results = reach_all(answering, plan) if pairs else ()
    findings = findings_of(
        plan,
        facts,
        silent=no_facts,
        pairs=results,
        targets=targets,
        device=device,
        run=run,
        installed=installed_before(answering, plan, facts),
    )
    return Examination(facts=facts, silent=no_facts, pairs=results, findings=findings)


def facts_of(agents: Mapping[str, Agent], plan: Plan) -> tuple[dict[str, Facts], dict[str, str]]:
    """Gather every host's facts in one round trip.

    Returns:
        Host → facts with the clock's offset, and host → error for those that gave none.
    """
    requests: dict[str, tuple[float, Future[Answer]]] = {}
    received_s: dict[str, float] = {}
    for host, agent in agents.items():
        sent_s = time.time()
        future = agent.ask(
            "facts",
            workspace=_workspace(plan, host, agent),
            ports=list(ports_on(plan, host)),
            models=models_on(plan, host)
            | {
                path: {"name": path, "contents": False, "expand": True}
                for path in datasets_on(plan, host)
            },
            scripts=list(scripts_on(plan, host)),
            folders=list(temporary_folders_on(plan, host)),
            pythons=any(
                (item.host, item.kind) == (host, "environment") for item in plan.preparations
            ),
        )
        future.add_done_callback(functools.partial(_note_time, received_s, host))
        requests[host] = (sent_s, future)
    outcomes = gather(
        ((host, agents[host], "facts", future) for host, (_, future) in requests.items()), FACTS_S
    )
    facts: dict[str, Facts] = {}
    for host, outcome in outcomes.items():
        if isinstance(outcome, Answer):
            back_s = received_s.get(host, time.time())
            facts[host] = {**outcome.value, **clock(outcome.value, requests[host][0], back_s)}
    silent = {h: str(error) for h, error in outcomes.items() if isinstance(error, LamplighterError)}
    return facts, silent


def clock(facts: Facts, sent_s: float, back_s: float) -> Facts:
    """Compute how far a host's clock is ahead of the controller's, as NTP does.

    Args:
        facts: with `time_s`, the host's clock when it started, and `took_s`, how long it worked.
        sent_s: the controller's clock when it sent the request.
        back_s: the controller's clock when it received the answer.
    """
    transit_s = max(0.0, back_s - sent_s - float(facts["took_s"]))
    offset_s = float(facts["time_s"]) - (sent_s + transit_s / 2)
    return {"clock_offset_s": offset_s, "clock_uncertainty_s": transit_s / 2}


def reach_all(agents: Mapping[str, Agent], plan: Plan) -> tuple[Pair, ...]:
    """Test the connections from every host to every other, on the plan's ports and one more.

    Hosts that cannot listen or connect are left out; their facts have the reason.
    """
    addresses = {host.name: host.address for host in plan.hosts if host.name in agents}
    if len(addresses) < 2:  # noqa: PLR2004 - there is no pair
        return ()
    most = sum(len(ports_on(plan, host)) + 1 for host in addresses)
    timeout_s = REACH_S * math.ceil(most / MAX_PARALLEL) + ANSWER_S
    with _listening(agents, addresses, plan, timeout_s + ANSWER_S) as opened:
        targets = {host: _targets(host, addresses, opened) for host in addresses}
        requests = [
            (host, agents[host], "reach", _ask_reach(agents[host], targets[host]))
            for host in addresses
        ]
        outcomes = gather(requests, timeout_s)
    for host, outcome in outcomes.items():
        if isinstance(outcome, Answer) and len(outcome.value) != len(targets[host]):
            raise InfrastructureError(
                f"{host}: its answer to `reach` has {len(outcome.value)} results for "
                f"{len(targets[host])} targets; check what runs as the agent there"
            )
    return tuple(
        Pair(host, target, address, port, result["outcome"], result["detail"])
        for host, outcome in outcomes.items()
        if isinstance(outcome, Answer)
        for (target, address, port, _), result in zip(targets[host], outcome.value, strict=True)
    )


def _ask_reach(agent: Agent, targets: list[tuple[str, str, int, str]]) -> Future[Answer]:
    listed = [[address, port, greeting] for _, address, port, greeting in targets]
    return agent.ask("reach", targets=listed, timeout_s=REACH_S)


@contextlib.contextmanager
def _listening(
    agents: Mapping[str, Agent], addresses: Mapping[str, str], plan: Plan, seconds: float
) -> Iterator[Opened]:
    """Let every host listen inside the context; listeners end by themselves after `seconds`."""
    requests = [
        (
            host,
            agents[host],
            "open_ports",
            agents[host].ask(
                "open_ports", address=address, ports=list(ports_on(plan, host)), seconds=seconds
            ),
        )
        for host, address in addresses.items()
    ]
    outcomes = gather(requests, ANSWER_S)
    opened = {host: answer.value for host, answer in outcomes.items() if isinstance(answer, Answer)}
    try:
        yield opened
    finally:
        closing = [
            (
                host,
                agents[host],
                "close_ports",
                agents[host].ask("close_ports", greeting=listener["greeting"]),
            )
            for host, listener in opened.items()
        ]
        gather(closing, ANSWER_S)


def _note_time(received_s: dict[str, float], host: str, _: Future[Answer]) -> None:
    received_s[host] = time.time()


def _targets(
    host: str, addresses: Mapping[str, str], opened: Opened
) -> list[tuple[str, str, int, str]]:
    return [
        (other, addresses[other], port, listener["greeting"])
        for other, listener in opened.items()
        if other != host
        for port in listener["ports"]
    ]


def _workspace(plan: Plan, host: str, agent: Agent) -> str:
    planned = [target.workspace for target in plan.hosts if target.name == host]
    return agent.workspace or (planned[0] if planned else plan.workspace)
