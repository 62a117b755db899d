"""The story of a night, on one screen: all effects meet here, in this order."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.evaluate.run import evaluate
from ci.hosts.preflight import preflight
from ci.hosts.prepare import prepare
from ci.interrupt import interrupts_into
from ci.judge import judge
from ci.report.cause import message_of
from ci.report.controller import user
from ci.serve.bringup import bring_up
from ci.serve.give_back import give_back
from ci.serve.probe import served_version
from ci.serve.processes import Processes
from ci.serve.smoke import smoke
from ci.serve.watch import health_watched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.errors import ExitCode
    from ci.evaluate.model import Result
    from ci.hosts.connection import Connection
    from ci.judge import Check
    from ci.plan.model import Plan
    from ci.report.console import View
    from ci.report.run import Record
    from ci.serve.processes import Events

SMOKE_TIMEOUT_S = 60.0


def run_night(
    plan: Plan,
    connections: Mapping[str, Connection],
    record: Record,
    view: View,
) -> ExitCode:
    """Bring the case up, prove that it answers, measure, and give the hosts back.

    Never raises: what went wrong becomes the record's cause, and the outcome unknown.

    Args:
        plan: everything that will be done.
        connections: host → connection.
        record: the run on disk, completed on every path out of here.
        view: where a person watches.
    """
    proved: tuple[Check, ...] = ()
    results: dict[str, Result] = {}
    error: BaseException | None = None
    events: Events = SimpleQueue()
    processes = Processes(record.id, user(), plan.workspace, connections, events, view)
    with interrupts_into(events, view.warn):
        try:
            with record.step("check the host and take it"):
                processes.take_leases()
                record.update(hosts=preflight(plan, connections))
            for missing in plan.preparations:
                prepare(missing, processes, record)
            with record.step("start the server and await its first token", "server"):
                servers = bring_up(plan, processes)
                record.update(versions={"vllm served": served_version(plan.endpoint) or "unknown"})
            with record.step("prove that it answers"):
                proved = smoke(plan.endpoint, SMOKE_TIMEOUT_S)
            with health_watched(servers, events):
                for item in plan.evaluations:
                    results[item.benchmark.name] = evaluate(plan, item, processes, record)
        except BaseException as raised:  # noqa: BLE001 - a night ends in a report, whatever ended it
            error = raised
        with record.step("give the host back"):
            give_back(processes, record)
        cause = message_of(error) if error else ""
        verdict = judge(plan.case.benchmarks, results, cause=cause, extra=proved)
        code = record.finish(verdict, error)
        view.table(verdict)
        view.outcome(verdict, record.path / "report.md", cause)
    return code
