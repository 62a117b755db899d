"""The story of a night, on one screen: all effects meet here, in this order."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.agent.connected import connected
from ci.doctor.installed import installed_on
from ci.evaluate import evaluate
from ci.judge.verdict import judge
from ci.prepare.prepare import prepare
from ci.record.cause import message_of
from ci.record.controller import owner
from ci.report.installed import keep_installed
from ci.resolve import planned
from ci.run.hand_back import give_back
from ci.run.interrupt import interrupts_into
from ci.run.preflight import fit_for, require_alike
from ci.run.processes import Processes
from ci.serve.bringup import bring_up, watched
from ci.serve.probe import asked_on, served_version
from ci.serve.smoke import smoke

if TYPE_CHECKING:
    from ci.agent.client import Agent
    from ci.case.model import Case
    from ci.errors import ExitCode
    from ci.judge.verdict import Check
    from ci.plan.site import Site
    from ci.record.record import Record
    from ci.record.view import View
    from ci.run.events import Events
    from ci.tools.model import Result

SMOKE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Order:
    """What a night is to do.

    Attributes:
        case: what to serve and to prove.
        site: where, as far as that is known without asking a host.
        doctor: whether the hosts are examined first.
        wait_s: how long to queue for hosts that another run holds.
        keep_s: for how long the servers run on afterwards; 0 stops them.
    """

    case: Case
    site: Site
    doctor: bool = True
    wait_s: float = 0
    keep_s: float = 0


def run_night(order: Order, record: Record, view: View) -> ExitCode:
    """Bring the case up, prove that it answers, measure, and give the hosts back.

    Never raises: what went wrong becomes the record's cause, and the outcome unknown.

    Args:
        order: what is to be done.
        record: the run on disk, completed on every path out of here.
        view: where a person watches.
    """
    proved: tuple[Check, ...] = ()
    results: dict[str, Result] = {}
    error: BaseException | None = None
    events: Events = SimpleQueue()
    agents: dict[str, Agent] = {}
    processes = Processes(record.id, owner(), agents, events, view)
    with interrupts_into(events, view.warn), ExitStack() as connections:
        try:
            with record.step("connect to the hosts"):
                hosts = connected(order.site.targets, record.note)
                agents.update(connections.enter_context(hosts))
                plan = planned(order.case, order.site, agents)
                record.write_plan(plan)
            with record.step("take the hosts"):
                processes.take_leases(order.wait_s)
            with record.step("examine the hosts"):
                by_name = {target.name: target for target in order.site.targets}
                found = fit_for(
                    plan, by_name, agents, record.note, run=record.id, doctor=order.doctor
                )
                record.update(hosts=found)
            for missing in plan.preparations_by_name:
                prepare(missing, processes, record)
            with record.step("compare what is installed"):
                listed = installed_on(agents, plan)
                keep_installed(record, listed)
                require_alike(listed, record.note, doctor=order.doctor)
            with record.step("start the servers and await their first token", "server"):
                servers = bring_up(plan, processes)
            ask = asked_on(agents[plan.leader])
            with record.step("prove that it answers"):
                proved = smoke(ask, plan.endpoint, SMOKE_TIMEOUT_S, order.case.asked)
                version = served_version(ask, plan.endpoint) or "unknown"
                record.update(proved=proved, versions={"vllm served": version})
            with watched(plan, servers, processes):
                for item in plan.evaluations:
                    results[item.benchmark.name] = evaluate(plan, item, processes, record)
        except BaseException as raised:  # noqa: BLE001 - a night ends in a report, whatever ended it
            error = raised
            for one in getattr(raised, "errors", ()):
                record.note(message_of(one))
        with record.step("give the hosts back"):
            distrusted = give_back(processes, record, keep_s=0 if error else order.keep_s)
        error = error or distrusted
        cause = message_of(error) if error else ""
        verdict = judge(
            order.case.benchmarks,
            results,
            cause=cause,
            extra=proved,
            # Without benchmarks, as after `inv smoke`, there is nothing to compare.
            comparisons=order.case.comparisons if order.case.benchmarks else (),
        )
        code = record.finish(verdict, error)
        view.table(verdict)
        view.outcome(verdict, record.path / "report.md", cause)
    return code
