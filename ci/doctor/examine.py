"""Ask all hosts for their facts and let them try to reach one another. Effects; over agents."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.doctor.checks import check
from ci.doctor.installed import installed_before
from ci.doctor.model import Examination, Facts, Pair
from ci.doctor.needs import ports_on, weights_on
from ci.errors import LamplighterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from ci.agent.client import Agent
    from ci.inventory.target import Target
    from ci.plan.model import Plan

FACTS_S = 30.0
REACH_S = 3.0
ANSWER_S = 10.0
REACHED_AT_ONCE = 200  # as ci/remote/requests/reach.py has it

Opened = dict[str, dict[str, Any]]


def examine(  # noqa: PLR0913 - what is asked, and what is known beforehand
    agents: Mapping[str, Agent],
    plan: Plan,
    targets: Mapping[str, Target],
    *,
    device: str = "",
    silent: Mapping[str, str] | None = None,
    pairs: bool = True,
    run: str = "",
) -> Examination:
    """Find out whether the hosts are fit for a plan. Changes nothing on them.

    Args:
        agents: host → agent, of the hosts that could be connected to.
        plan: what is to run.
        targets: host → its cluster file's entry, where there is one.
        device: the kind of machine that the night serves on; empty where that is not known.
        silent: host → why it could not be connected to.
        pairs: whether the hosts try to reach one another.
        run: which one has taken the hosts; empty for none.
    """
    facts, unasked = facts_of(agents, plan)
    unasked = {**(silent or {}), **unasked}
    answering = {host: agents[host] for host in facts}
    tried = reach_all(answering, plan) if pairs else ()
    findings = check(
        plan,
        facts,
        silent=unasked,
        pairs=tried,
        targets=targets,
        device=device,
        run=run,
        installed=installed_before(answering, plan, facts),
    )
    return Examination(facts=facts, silent=unasked, pairs=tried, findings=findings)


def facts_of(agents: Mapping[str, Agent], plan: Plan) -> tuple[dict[str, Facts], dict[str, str]]:
    """Gather every host's facts in one round trip.

    Returns:
        Host → facts, with the clock's offset; and host → why it gave none.
    """
    asked: dict[str, tuple[float, Future[Answer]]] = {}
    came: dict[str, float] = {}
    for host, agent in agents.items():
        sent = time.time()
        future = agent.ask(
            "facts",
            workspace=_workspace(plan, host, agent),
            ports=list(ports_on(plan, host)),
            paths=list(weights_on(plan, host)),
        )
        future.add_done_callback(functools.partial(_note_time, came, host))
        asked[host] = (sent, future)
    outcomes = gather(
        ((host, agents[host], "facts", future) for host, (_, future) in asked.items()), FACTS_S
    )
    facts: dict[str, Facts] = {}
    for host, outcome in outcomes.items():
        if isinstance(outcome, Answer):
            back = came.get(host, time.time())
            facts[host] = {**outcome.value, **clock(outcome.value, asked[host][0], back)}
    silent = {h: str(one) for h, one in outcomes.items() if isinstance(one, LamplighterError)}
    return facts, silent


def clock(facts: Facts, sent_s: float, back_s: float) -> Facts:
    """Work out how far a host's clock is ahead of ours, as NTP does.

    Args:
        facts: with `time_s`, its clock when it began, and `took_s`, how long it worked.
        sent_s: our clock when the question left.
        back_s: our clock when the answer came.
    """
    way_s = max(0.0, back_s - sent_s - float(facts["took_s"]))
    offset_s = float(facts["time_s"]) - (sent_s + way_s / 2)
    return {"clock_offset_s": offset_s, "clock_uncertainty_s": way_s / 2}


def reach_all(agents: Mapping[str, Agent], plan: Plan) -> tuple[Pair, ...]:
    """Let every host connect to every other on the plan's ports there, and one more.

    What cannot listen or cannot try is left out: its facts say why.
    """
    addresses = {host.name: host.address for host in plan.hosts if host.name in agents}
    if len(addresses) < 2:  # noqa: PLR2004 - nobody to reach
        return ()
    most = sum(len(ports_on(plan, host)) + 1 for host in addresses)
    patience_s = REACH_S * math.ceil(most / REACHED_AT_ONCE) + ANSWER_S
    with _listening(agents, addresses, plan, patience_s + ANSWER_S) as opened:
        wishes = {host: _targets(host, addresses, opened) for host in addresses}
        outcomes = gather(
            [
                (
                    host,
                    agents[host],
                    "reach",
                    agents[host].ask(
                        "reach",
                        targets=[[address, port, word] for _, address, port, word in wishes[host]],
                        timeout_s=REACH_S,
                    ),
                )
                for host in addresses
            ],
            patience_s,
        )
    return tuple(
        Pair(host, target, address, port, one["outcome"], one["detail"])
        for host, outcome in outcomes.items()
        if isinstance(outcome, Answer)
        for (target, address, port, _), one in zip(wishes[host], outcome.value, strict=True)
    )


@contextlib.contextmanager
def _listening(
    agents: Mapping[str, Agent], addresses: Mapping[str, str], plan: Plan, seconds: float
) -> Iterator[Opened]:
    """Have every host listen meanwhile; what is not closed in time ends by itself."""
    asked = [
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
    outcomes = gather(asked, ANSWER_S)
    opened = {host: one.value for host, one in outcomes.items() if isinstance(one, Answer)}
    try:
        yield opened
    finally:
        closing = [
            (
                host,
                agents[host],
                "close_ports",
                agents[host].ask("close_ports", pid=one["pid"], began=one["began"]),
            )
            for host, one in opened.items()
        ]
        gather(closing, ANSWER_S)


def _note_time(came: dict[str, float], host: str, _: Future[Answer]) -> None:
    came[host] = time.time()


def _targets(
    host: str, addresses: Mapping[str, str], opened: Opened
) -> list[tuple[str, str, int, str]]:
    return [
        (other, addresses[other], port, one["greeting"])
        for other, one in opened.items()
        if other != host
        for port in one["ports"]
    ]


def _workspace(plan: Plan, host: str, agent: Agent) -> str:
    named = [one.workspace for one in plan.hosts if one.name == host]
    return agent.workspace or (named[0] if named else plan.workspace)
