"""One night from start to verdict: every step with an effect, in order."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ci.beside import Beside
from ci.case.known_metrics import STARTUP
from ci.documents.duration import seconds_of
from ci.errors import AllocationFailed
from ci.explain.explanation import Explanation
from ci.history.durations import past_durations, show_expected
from ci.history.folders import remember
from ci.history.since_good import note_since_good
from ci.history.slow_night import with_slow_night
from ci.judge.family import with_judged
from ci.judge.verdict import Check, judge
from ci.prove import prove_all, prove_router_health
from ci.record.cause import message_of
from ci.record.start import start
from ci.record.text import MODELS
from ci.report.pages.refresh import refresh_index
from ci.report.reports import write_reports
from ci.report.screen import report_in
from ci.retest import Retest
from ci.run.explained import explained, may_be_explained
from ci.run.telemetry import sampling
from ci.serve.bringup import watch_servers
from ci.serve.startup import note_startup
from ci.session import on_allocated, serving
from ci.tools.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import TypeAlias

    from ci.case.judging import Judging
    from ci.errors import ExitCode
    from ci.plan.model import Evaluation
    from ci.record.record import Record
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.allocation import Allocation
    from ci.run.interrupt import Interrupts
    from ci.run.telemetry import Telemetry
    from ci.session import Served

    # Its arguments are those of `serving`; `allocation` is given only where Slurm has the hosts.
    BringUp: TypeAlias = Callable[..., AbstractContextManager[Served]]

# The check of a night that fetches models and starts nothing.
MODELS_THERE = (
    Check(MODELS, "whole on every host", None, "", None, "", None, "pass", "no server was started"),
)


def run_night(  # noqa: PLR0913, PLR0917 - what a night is made of
    request: Request,
    resolved: ResolvedCase,
    record: Record,
    view: View,
    interrupts: Interrupts,
    bring_up: BringUp = serving,
    allocation: Allocation | None = None,
) -> ExitCode:
    """Bring the case up, run a smoke test, measure, hand the hosts back, and judge.

    Never raises: an error becomes the record's cause, and the outcome is unknown.

    Args:
        request: how to run the night.
        resolved: the case to serve and measure, and its hosts.
        record: the run on disk; completed in every case.
        view: shows progress and the verdict.
        interrupts: signals; they end the current wait.
        bring_up: brings the servers up, and hands back what they ran on.
        allocation: asks Slurm for the hosts; None if they are known.

    Returns:
        The exit code of the command.
    """
    smoke_checks: tuple[Check, ...] = ()
    budget_s = seconds_of(request.retest_budget, "--retest-budget")
    # Servers that keep running keep the hosts.
    control = judging_of(request, resolved).controlled and not request.keep
    retest = Retest(record, request.runs, budget_s, control=control)
    measuring = _Measuring(record, retest, allocation)
    error: BaseException | None = None
    try:
        request, resolved = on_allocated(request, resolved, record, interrupts, allocation)
        watched = {"allocation": allocation} if allocation else {}
        with bring_up(request, resolved, record, view, interrupts, **watched) as served:
            plan = served.plan
            if request.serve:
                smoke_checks = prove_all(served, record, resolved.suite, request.workspace)
            else:
                smoke_checks = MODELS_THERE
            with (
                watch_servers(plan, served.servers, served.processes),
                sampling(plan, served.processes, record) as telemetry,
            ):
                measuring.measure_all(served, telemetry)
            if request.serve:
                smoke_checks += prove_router_health(served, record, keep=request.keep_s > 0)
        measuring.bound_retest()
        Beside(request, resolved, record, interrupts, allocation).settle(retest)
    except BaseException as raised:  # noqa: BLE001 - every night ends with a report
        error = raised
    error = allocation_ended(error, record, allocation)
    if error and may_be_explained(error) and (explanation := first_cause_of(record)):
        error = explained(error, explanation)
    if started := note_startup(record):
        measuring.results[STARTUP] = started
    cause = message_of(error) if error else ""
    measuring.note_unfinished(cause)
    results = measuring.results
    verdict = judge(
        resolved.case.benchmarks,
        results,
        cause=cause,
        extra=smoke_checks,
        # Without benchmarks, as in `inv up`, there is nothing to compare.
        comparisons=resolved.case.comparisons if resolved.case.benchmarks else (),
        startup=resolved.case.startup,
    )
    verdict = with_judged(verdict, retest.checks)
    if error is None and verdict.outcome == "unknown":
        first_cause_of(record)
    since = note_since_good(record, verdict, error)
    if not record.run.beside:
        performance = {
            each.name for each in resolved.case.benchmarks if each.case_type == "performance"
        }
        verdict = with_slow_night(verdict, performance, since)
    code = record.finish(verdict, error, interrupted=bool(interrupts.first))
    view.table(record.run)
    view.outcome(record.run, report_in(record.path))
    return code


def judging_of(request: Request, resolved: ResolvedCase) -> Judging:
    """Return how a night is judged: as its case says, with what the request says instead."""
    judging = resolved.case.judge
    return judging.model_copy(update={"control": request.control}) if request.control else judging


@contextmanager
def begin(
    request: Request, resolved: ResolvedCase, view: View, argv: Sequence[str]
) -> Iterator[Record]:
    """Start the record of a run, with the case, its warnings and the plan on paper.

    At the end, the run is added to the history, and to the page of all nights if there is one.

    Args:
        request: has the folder of all runs.
        resolved: the case and its hosts.
        view: shows steps and notes.
        argv: the command line that runs the night again.
    """
    case, runs = resolved.case, Path(request.runs)
    with ExitStack() as ending:
        started = start(
            runs,
            view,
            write_reports,
            case=case.name,
            config=case.path,
            argv=argv,
            run=request.run,
        )
        ending.callback(refresh_index, started.path.parent, started.note)
        ending.callback(remember, started.path, started.note)
        record = ending.enter_context(started)
        if request.purpose != "night":
            record.update(purpose=request.purpose, night=request.suite)
        record.expect(
            case.benchmarks, case.comparisons, case.startup, judging_of(request, resolved)
        )
        record.update(
            targets=resolved.inputs.targets,
            run_type=request.run_type,
            suite=request.suite_name,
            cluster=Path(request.cluster).stem,
        )
        if case.benchmarks:
            show_expected(runs, case.name, record.view)
        for warning in (*case.warnings, *resolved.plan.warnings):
            record.note(f"warning: {warning}")
        record.write_plan(resolved.plan)
        yield record


class _Measuring:
    """The evaluations of a night, in order.

    Attributes:
        results: benchmark → its result.
    """

    def __init__(self, record: Record, retest: Retest, allocation: Allocation | None) -> None:
        self.results: dict[str, Result] = {}
        self._record, self._retest, self._allocation = record, retest, allocation
        self._running: Evaluation | None = None

    def measure_all(self, served: Served, telemetry: Telemetry) -> None:
        """Run every evaluation for which there is time, and again those that are suspect."""
        run = self._record.run
        runs = self._record.path.parent
        past = past_durations(runs, run.case) if self._allocation else {}
        for item in served.plan.evaluations:
            name = item.benchmark.name
            needed_s, what = past.get(name, 0.0), f"the evaluation of {name}"
            late = self._allocation.too_late(needed_s, what) if self._allocation else ""
            if late:
                self._record.note(late)
                self._without_result(item, late)
                continue
            self._running = item
            self.results[name] = self._retest.measure(served, item, telemetry)
            self._running = None
        self.bound_retest()
        self._retest.measure_again(served, telemetry)

    def bound_retest(self) -> None:
        """Let what is measured again end before Slurm takes the hosts."""
        if self._allocation:
            self._retest.bound(self._allocation.left_s)

    def note_unfinished(self, cause: str) -> None:
        """Record the evaluation during which the night ended, if any."""
        if self._running:
            self._without_result(self._running, f"not finished: {cause}")

    def _without_result(self, item: Evaluation, problem: str) -> None:
        result = Result(problems=(problem,))
        benchmark, raw = item.benchmark, f"evaluate/{item.process}/raw"
        self._record.evaluated(benchmark.name, benchmark.tool, result, None, raw)
        self.results[benchmark.name] = result


def allocation_ended(
    error: BaseException | None, record: Record, allocation: Allocation | None
) -> BaseException | None:
    """Give the hosts back to Slurm, and return why the night ended early.

    If Slurm ended it, that is the cause, and its class is recorded as in configs/failures.yaml.

    Args:
        error: the error of the night; None if there was none.
        record: of the night.
        allocation: the Slurm job that has the hosts; None if none has.
    """
    if allocation is None:
        return error
    if error is not None:
        error = allocation.explained(error, record)
    allocation.night_ended(record, kept=record.run.kept_s > 0)
    if isinstance(error, AllocationFailed):
        _note_class(error, record)
    return error


def _note_class(error: AllocationFailed, record: Record) -> None:
    job = record.run.slurm
    record.update(
        explanation=Explanation(
            kind=error.kind,
            cause=error.cause,
            next_step=error.next_step,
            side="environment",
            line=error.cause,
            process=f"Slurm job {job.job}" if job else "Slurm",
            host=(job and job.login and job.login.address) or record.run.controller.host,
        )
    )


def first_cause_of(record: Record) -> Explanation | None:
    """Find the first cause in the collected logs, note it, and keep it in the record."""
    from ci.explain.night import first_cause  # noqa: PLC0415 - only for a night that failed

    processes = [(item.name, item.host) for item in record.run.processes]
    try:
        explanation = first_cause(record.path / "logs", processes)
    except OSError as error:
        record.note(f"the logs cannot be searched for the first cause: {error}")
        return None
    if explanation:
        record.update(explanation=explanation)
        kind, side, line = explanation.kind, explanation.side, explanation.line
        record.note(f"first cause ({kind}, {side}): {explanation}; its log: {line}")
    return explanation
