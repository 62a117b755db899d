"""A session: hosts connected, taken and prepared, servers up; handed back on every exit."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.agent.connected import connected
from ci.doctor.installed import installed_on
from ci.prepare.prepare import prepare
from ci.record.cause import message_of
from ci.record.controller import owner
from ci.report.installed import keep_installed
from ci.resolve import plan_on_hosts
from ci.run.events import raise_pending
from ci.run.hand_back import hand_back
from ci.run.leases import take_leases
from ci.run.preflight import fit_for, require_alike
from ci.run.processes import Processes
from ci.serve.bringup import bring_up
from ci.serve.probe import asked_on

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.agent.client import Agent
    from ci.agent.process import Supervised
    from ci.case.model import Case
    from ci.plan.inputs import PlanInputs
    from ci.plan.model import Plan
    from ci.record.record import Record
    from ci.record.view import View
    from ci.run.events import Events
    from ci.serve.probe import Ask


@dataclass(frozen=True)
class Request:
    """One night that was asked for.

    Attributes:
        case: what to serve and to prove.
        site: where, as far as that is known without asking a host.
        paper: the plan on paper, as far as it can be made without asking a host.
        device: the accelerators' kind that the operator chose; empty takes the case's.
        doctor: whether the hosts are examined first.
        wait_s: how long to queue for hosts that another run holds.
        keep_s: for how long the servers run on afterwards; 0 stops them.
    """

    case: Case
    site: PlanInputs
    paper: Plan
    device: str = ""
    doctor: bool = True
    wait_s: float = 0
    keep_s: float = 0


@dataclass(frozen=True)
class Served:
    """What answers now: the plan made on the hosts, and the processes of it that run.

    Attributes:
        plan: with every address, port and folder as it is on the hosts.
        processes: everything that the run has started.
        servers: services, servers and router, in the order of `plan.processes`.
        ask: a question to the endpoint, asked from the leader.
    """

    plan: Plan
    processes: Processes
    servers: Sequence[Supervised]
    ask: Ask


@contextmanager
def serving(request: Request, record: Record, view: View, events: Events) -> Iterator[Served]:
    """Bring a case up, and hand the hosts back whatever happens inside.

    On the way out an error from inside goes on, noted first; troubles while the hosts are handed
    back are noted and never hide it.

    Args:
        request: what is to be served, and how.
        record: gets every step.
        view: shows what is waited for.
        events: what every wait reads; an interrupt may be put into it at any time.

    Raises:
        LamplighterError: why it cannot be served, or why what was inside ended.
        Interrupted: the controller was told to stop, also while nothing waited.
    """
    agents: dict[str, Agent] = {}
    processes = Processes(record.id, owner(), agents, events, view)
    keep_s = 0.0
    with ExitStack() as connections:
        try:
            with record.step("connect to the hosts"):
                hosts = connected(request.site.targets, record.note)
                agents.update(connections.enter_context(hosts))
                plan = plan_on_hosts(request.case, request.site, agents)
                record.write_plan(plan)
            _take(request, plan, processes, record)
            _prepare(request, plan, processes, record)
            with record.step("start the servers and await their first token", "server"):
                servers = bring_up(plan, processes)
            yield Served(plan, processes, servers, asked_on(agents[plan.leader]))
            raise_pending(events)
            keep_s = request.keep_s
        except BaseException as error:
            for one in getattr(error, "errors", ()):
                record.note(message_of(one))
            raise
        finally:
            with record.step("give the hosts back"):
                back = hand_back(processes, record, keep_s=keep_s)
            if back.kept:
                record.note(
                    f"the servers go on for {keep_s / 3600:g} h at {plan.endpoint.url}; "
                    f"end them with `inv down --run {record.id}`"
                )
        if back.distrusted:
            raise back.distrusted


def _take(request: Request, plan: Plan, processes: Processes, record: Record) -> None:
    """Take the hosts, and see that they are fit."""
    with record.step("take the hosts"):
        take_leases(processes, request.wait_s)
    with record.step("examine the hosts"):
        by_name = {target.name: target for target in request.site.targets}
        facts = fit_for(
            plan,
            by_name,
            processes.agents,
            record.note,
            run=record.id,
            device=request.device,
            doctor=request.doctor,
        )
        record.update(hosts=facts)


def _prepare(request: Request, plan: Plan, processes: Processes, record: Record) -> None:
    """Make the environments and models that are missing, and compare what is there."""
    for missing in plan.preparations_by_name:
        prepare(missing, processes, record)
    with record.step("compare what is installed"):
        listed = installed_on(processes.agents, plan)
        keep_installed(record, listed)
        require_alike(listed, record.note, doctor=request.doctor)
