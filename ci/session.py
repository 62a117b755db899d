"""A session: connect, lock and prepare the hosts, start the servers; hand back on every exit."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.agent.connected import connected
from ci.doctor.installed import installed_on
from ci.errors import InfrastructureError, NotHandedBack, ProcessDied
from ci.prepare.prepare import prepare
from ci.prepare.weights import fetch_weights
from ci.record.cause import message_of
from ci.record.controller import owner
from ci.record.fields import utc
from ci.report.installed import keep_installed
from ci.resolve import plan_on_hosts, resolve_case
from ci.run.events import raise_pending
from ci.run.explained import with_memory_evidence
from ci.run.hand_back import HandedBack, hand_back
from ci.run.leases import take_leases
from ci.run.left_over import await_left_over
from ci.run.preflight import examine_hosts, require_same_packages
from ci.run.processes import Processes
from ci.run.source_scripts import source_scripts, with_keys
from ci.serve.ask import ask_from
from ci.serve.bringup import bring_up
from ci.serve.reachable import reachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.plan.model import Plan
    from ci.record.record import Record
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.allocation import Allocation
    from ci.run.events import Events
    from ci.run.interrupt import Interrupts
    from ci.serve.ask import Ask


# The step in which servers start.
START = "start the servers and await their first token"


@dataclass(frozen=True)
class Served:
    """A running deployment: the plan made on the hosts, and its processes.

    Attributes:
        plan: the plan with every address, port and folder as on the hosts.
        processes: all processes that the run has started.
        servers: services, servers and router, in the order of `plan.processes`; empty if the
            request serves nothing.
        ask: sends an HTTP request to the endpoint from the leader.
    """

    plan: Plan
    processes: Processes
    servers: Sequence[RemoteProcess]
    ask: Ask

    def reachable(self) -> AbstractContextManager[str]:
        """Give the endpoint's base URL for this machine, for requests of a program that runs here.

        It is valid until the context ends. See `ci.serve.reachable`, also for other servers.
        """
        return reachable(self.processes.agents[self.plan.leader], self.plan.endpoint.url)


@contextmanager
def serving(  # noqa: PLR0913, PLR0917 - the parts of a night
    request: Request,
    resolved: ResolvedCase,
    record: Record,
    view: View,
    interrupts: Interrupts,
    allocation: Allocation | None = None,
) -> Iterator[Served]:
    """Bring a case up; hand the hosts back on exit, also after an error.

    An error from inside is noted and raised again. Problems while handing the hosts back are noted
    and never replace it.

    Args:
        request: how to serve.
        resolved: the case to serve, and its hosts.
        record: receives every step.
        view: shows the pending condition.
        interrupts: signals; the first ends the current wait, the second copies that take long.
        allocation: the Slurm job that has the hosts, whose end ends the night; None if none has.

    Raises:
        LamplighterError: the case could not be served, or a process or host failed meanwhile.
        Interrupted: the controller was asked to stop, also while nothing waited.
    """
    agents: dict[str, Agent] = {}
    events: Events = SimpleQueue()
    beside = request.suite if request.beside else ""
    processes = Processes(
        record.id, owner(), agents, events, view, interrupts=interrupts, beside=beside
    )
    keep_s = 0.0

    def find_left() -> list[str]:
        hosts = record.run.hosts  # none if the run did not begin to use them
        if beside:  # a file in shared memory may be another night's
            hosts = {host: {**facts, "shared_files": None} for host, facts in hosts.items()}
        by_name = {target.name: target for target in resolved.inputs.targets}
        return await_left_over(agents, plan, by_name, request.device, hosts) if hosts else []

    with ExitStack() as connections:
        connections.enter_context(interrupts.forward_to(events))
        if allocation:
            connections.enter_context(allocation.watched(events, record))
        try:
            with record.step("connect to the hosts"):
                hosts = connected(resolved.inputs.targets, record.note)
                agents.update(connections.enter_context(hosts))
                plan = plan_on_hosts(resolved, agents)
                record.write_plan(plan)
            processes.direct = (*plan.addresses, *_addresses(resolved))
            _take_hosts(request, resolved, plan, processes, record)
            source_scripts(plan, processes, record)
            plan = with_keys(plan, processes)
            record.write_plan(plan)
            _prepare_hosts(request, plan, processes, record)
            plan = fetch_weights(plan, processes, record)
            record.write_plan(plan)
            servers: Sequence[RemoteProcess] = ()
            if request.serve:
                with record.step(START, "server"):
                    servers = bring_up(plan, processes)
            yield Served(plan, processes, servers, ask_from(agents[plan.leader], plan.access))
            raise_pending(events)
            keep_s = request.keep_s
        except ProcessDied as error:
            raise with_memory_evidence(error, agents) from error
        except BaseException as error:
            for cause in getattr(error, "errors", ()):
                record.note(message_of(cause))
            raise
        finally:
            with record.step("hand the hosts back"):
                result = hand_back(processes, record, keep_s=keep_s, find_left=find_left)
            if result.kept:
                until = datetime.now(UTC) + timedelta(seconds=keep_s)
                record.update(kept_url=plan.endpoint.url, kept_until=utc(until))
        _require_handed_back(result, keep_s, record)


def on_allocated(
    request: Request,
    resolved: ResolvedCase,
    record: Record,
    interrupts: Interrupts,
    allocation: Allocation | None,
) -> tuple[Request, ResolvedCase]:
    """Wait for the hosts that Slurm gives, and plan the case for them.

    Args:
        request: how to serve.
        resolved: the case, planned for hosts that are not known yet.
        record: receives the job, the hosts and the plan.
        interrupts: signals; they end the wait.
        allocation: asks for the hosts; with None nothing changes.

    Raises:
        AllocationFailed: Slurm gives no hosts.
        Interrupted: the controller was asked to stop.
    """
    if allocation is None:
        return request, resolved
    given = replace(request, allocated=allocation.obtain(record, interrupts))
    planned = resolve_case(resolved.case, given)
    record.update(targets=planned.inputs.targets)
    record.write_plan(planned.plan)
    return given, replace(planned, suite=resolved.suite)


def _require_handed_back(result: HandedBack, keep_s: float, record: Record) -> None:
    """Raise the reason why hosts are not handed back, or why servers are not kept."""
    if result.refused:
        raise result.refused
    if result.unverified:
        raise NotHandedBack(
            f"the hosts are not handed back: {'; '.join(result.unverified)}; see "
            "`inv status`, and end what is left with "
            f"`inv down --run {record.id}`"
        )
    if result.left:
        raise NotHandedBack(
            f"the hosts are not handed back as they were: {'; '.join(result.left)}; stop or "
            "remove that, and look with `inv doctor` before the next night"
        )
    if keep_s and not result.kept:
        raise InfrastructureError(
            "the servers were to keep running and are stopped, as a host could not keep them; "
            "see the notes, and run again"
        )


def _addresses(resolved: ResolvedCase) -> tuple[str, ...]:
    """Return the names and addresses by which this machine connects to the hosts."""
    return tuple(target.address for target in resolved.inputs.targets)


def _take_hosts(
    request: Request, resolved: ResolvedCase, plan: Plan, processes: Processes, record: Record
) -> None:
    """Lock the hosts and examine them."""
    with record.step("take the hosts"):
        take_leases(processes, request.wait_s)
    with record.step("examine the hosts"):
        by_name = {target.name: target for target in resolved.inputs.targets}
        facts = examine_hosts(
            plan,
            by_name,
            processes.agents,
            record.note,
            run=record.id,
            device=request.device,
            doctor=not request.skip_doctor,
            beside=request.beside,
        )
        record.update(hosts=facts)


def _prepare_hosts(request: Request, plan: Plan, processes: Processes, record: Record) -> None:
    """Make missing environments and models, then compare the installed packages."""
    for missing in plan.preparations_by_name:
        prepare(missing, processes, record)
    with record.step("compare what is installed"):
        listed = installed_on(processes.agents, plan)
        keep_installed(record, listed)
        require_same_packages(listed, record.note, doctor=not request.skip_doctor)
