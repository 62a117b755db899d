"""A session in pods: apply, wait, forward a port; on exit read the logs and delete."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.agent.connected import connected
from ci.doctor.installed import installed_on
from ci.errors import UserError
from ci.k8s import kubectl
from ci.k8s.render import render
from ci.pods.ending import delete_all, fetch_logs
from ci.pods.plan import tools_plan
from ci.pods.ready import await_pods, watched
from ci.prepare.prepare import prepare
from ci.record.controller import owner
from ci.report.installed import keep_installed
from ci.run.events import raise_pending
from ci.run.hand_back import hand_back
from ci.run.leases import take_leases
from ci.run.processes import Processes
from ci.serve.ask import ask_from
from ci.session import Served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.agent.client import Agent
    from ci.pods.where import Pods
    from ci.record.record import Record
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.events import Events
    from ci.run.interrupt import Interrupts


@contextmanager
def serving_in_pods(  # noqa: PLR0913, PLR0917 - as `ci.session.serving`, and the pods
    pods: Pods,
    request: Request,
    resolved: ResolvedCase,
    record: Record,
    view: View,
    interrupts: Interrupts,
) -> Iterator[Served]:
    """Bring a case up in pods; read their logs and delete them on exit, also after an error.

    The tools run on this machine, which is locked meanwhile as a host of a night is.

    Args:
        pods: where and how they run.
        request: how to run the night.
        resolved: the case, with the plan of its tools.
        record: receives every step.
        view: shows the pending condition.
        interrupts: signals; the first ends the current wait, the second that for the deletion.

    Raises:
        LamplighterError: the case could not be served, or a pod failed meanwhile.
        Interrupted: the controller was asked to stop.
    """
    agents: dict[str, Agent] = {}
    events: Events = SimpleQueue()
    processes = Processes(record.id, owner(), agents, events, view, interrupts=interrupts)
    with ExitStack() as connections:
        connections.enter_context(interrupts.forward_to(events))
        try:
            with record.step("connect to this machine, which runs the tools"):
                targets = connected(resolved.inputs.targets, record.note)
                agents.update(connections.enter_context(targets))
            with record.step("take this machine"):
                take_leases(processes, request.wait_s)
            with _applied(pods, processes, record):
                await_pods(pods, processes, record)
                with watched(pods, events) as watch:
                    plan = tools_plan(resolved.case, pods.night.pods, resolved.inputs, watch.port)
                    record.write_plan(plan)
                    for missing in plan.preparations_by_name:
                        prepare(missing, processes, record)
                    keep_installed(record, installed_on(agents, plan))
                    record.note(
                        "the tools reach the servers through kubectl port-forward and the API "
                        "server of the cluster: compare performance with such nights only"
                    )
                    yield Served(plan, processes, (), ask_from(agents[plan.leader], plan.access))
                    watch.settle()
                    raise_pending(events)
        finally:
            # It also records the ends of the tools, in place of those of the pods.
            ends = [each.model_dump() for each in record.run.processes]
            with record.step("hand this machine back"):
                hand_back(processes, record)
            if ends:
                tools = [each.model_dump() for each in record.run.processes]
                record.update(processes=[*ends, *tools])


@contextmanager
def _applied(pods: Pods, processes: Processes, record: Record) -> Iterator[None]:
    """Apply the manifest; on exit read the logs, and delete what was applied."""
    options, context = pods.options, pods.context
    manifest = render(pods.night.pods, options)
    record.keep("manifest.yaml", manifest)
    with record.step("look whether the name is free in the cluster"):
        if kubectl.exists(pods.name, options.namespace, context=context):
            raise UserError(
                f"LeaderWorkerSet {pods.name} is in namespace {options.namespace} already: another "
                "night runs, or one was not deleted; delete it with `inv k8s.delete --name "
                f"{pods.name} --namespace {options.namespace}`, or give another --name"
            )
    try:
        with record.step("apply the manifest"):
            kubectl.apply(manifest, context=context)
        yield
    finally:
        with record.step("fetch the pods' logs") as step:
            step.detail = fetch_logs(pods, record)
        with record.step("delete what was applied") as step:
            step.detail = delete_all(pods, processes, record)
