"""The story of a night, on one screen: all effects meet here, in this order."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.evaluate import evaluate
from ci.judge.verdict import judge
from ci.record.cause import message_of
from ci.serve.bringup import watched
from ci.serve.probe import served_version
from ci.serve.smoke import smoke
from ci.session import serving

if TYPE_CHECKING:
    from ci.errors import ExitCode
    from ci.judge.verdict import Check
    from ci.record.record import Record
    from ci.record.view import View
    from ci.run.events import Events
    from ci.run.interrupt import Interrupts
    from ci.session import Request
    from ci.tools.model import Result

SMOKE_TIMEOUT_S = 60.0


def run_night(request: Request, record: Record, view: View, interrupts: Interrupts) -> ExitCode:
    """Bring the case up, prove that it answers, measure, hand the hosts back, and judge.

    Never raises: what went wrong becomes the record's cause, and the outcome unknown.

    Args:
        request: what is to be served, and how.
        record: the run on disk, completed on every path out of here.
        view: where a person watches.
        interrupts: end whatever is waited for.
    """
    proved: tuple[Check, ...] = ()
    results: dict[str, Result] = {}
    error: BaseException | None = None
    events: Events = SimpleQueue()
    try:
        with interrupts.into(events), serving(request, record, view, events) as served:
            plan = served.plan
            with record.step("prove that it answers"):
                proved = served.processes.run_here(
                    lambda: smoke(
                        served.ask, plan.endpoint, SMOKE_TIMEOUT_S, plan.case.smoke_request
                    ),
                    "a first completion and a chat",
                )
                version = served_version(served.ask, plan.endpoint) or "unknown"
                record.update(proved=proved, versions={"vllm served": version})
            with watched(plan, served.servers, served.processes):
                for item in plan.evaluations:
                    results[item.benchmark.name] = evaluate(plan, item, served.processes, record)
    except BaseException as raised:  # noqa: BLE001 - a night ends in a report, whatever ended it
        error = raised
    cause = message_of(error) if error else ""
    verdict = judge(
        request.case.benchmarks,
        results,
        cause=cause,
        extra=proved,
        # Without benchmarks, as after `inv smoke`, there is nothing to compare.
        comparisons=request.case.comparisons if request.case.benchmarks else (),
    )
    code = record.finish(verdict, error)
    view.table(verdict)
    view.outcome(verdict, record.path / "report.md", cause)
    return code
