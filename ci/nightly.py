"""One night from start to verdict: every step with an effect, in order."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog.datasets import roots_of
from ci.evaluate import evaluate
from ci.explain.night import first_cause
from ci.judge.verdict import Check, judge
from ci.paths import workspace_of
from ci.record.cause import message_of
from ci.record.start import start
from ci.record.text import MODELS
from ci.report.reports import write_reports
from ci.run.explained import explained, may_be_explained
from ci.serve.bringup import watch_servers
from ci.serve.content import count_processes, picture_url, run_request
from ci.serve.functional import (
    functional_checks,
    functional_files,
    functional_report,
    run_functional,
    skips,
)
from ci.serve.probe import served_version
from ci.serve.smoke import smoke
from ci.session import serving
from ci.tools.model import Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.case.model import ContentTest
    from ci.errors import ExitCode
    from ci.explain.explanation import Explanation
    from ci.functional.load import Suite
    from ci.functional.run import Result as CaseResult
    from ci.plan.model import Evaluation
    from ci.record.record import Record
    from ci.record.view import View
    from ci.request import Request
    from ci.resolve import ResolvedCase
    from ci.run.interrupt import Interrupts
    from ci.session import Served

SMOKE_TIMEOUT_S = 60.0
# A note for so many functional cases: some in a suite of two minutes.
PROGRESS_EVERY = 100
# The check of a night that fetches models and starts nothing.
MODELS_THERE = (
    Check(MODELS, "whole on every host", None, "", None, "", None, "pass", "no server was started"),
)


def run_night(
    request: Request, resolved: ResolvedCase, record: Record, view: View, interrupts: Interrupts
) -> ExitCode:
    """Bring the case up, run a smoke test, measure, hand the hosts back, and judge.

    Never raises: an error becomes the record's cause, and the outcome is unknown.

    Args:
        request: how to run the night.
        resolved: the case to serve and measure, and its hosts.
        record: the run on disk; completed in every case.
        view: shows progress and the verdict.
        interrupts: signals; they end the current wait.

    Returns:
        The exit code of the command.
    """
    smoke_checks: tuple[Check, ...] = ()
    results: dict[str, Result] = {}
    error: BaseException | None = None
    running: Evaluation | None = None
    try:
        with serving(request, resolved, record, view, interrupts) as served:
            plan = served.plan
            if request.serve:
                smoke_checks = prove(served, record)
                smoke_checks += prove_content(served, record, request.workspace)
                smoke_checks += prove_functional(served, resolved.suite, record)
            else:
                smoke_checks = MODELS_THERE
            with watch_servers(plan, served.servers, served.processes):
                for item in plan.evaluations:
                    running = item
                    results[item.benchmark.name] = evaluate(plan, item, served.processes, record)
                    running = None
    except BaseException as raised:  # noqa: BLE001 - every night ends with a report
        error = raised
    if error and may_be_explained(error) and (explanation := first_cause_of(record)):
        error = explained(error, explanation)
    cause = message_of(error) if error else ""
    if running:
        results[running.benchmark.name] = _unfinished(running, cause, record)
    verdict = judge(
        resolved.case.benchmarks,
        results,
        cause=cause,
        extra=smoke_checks,
        # Without benchmarks, as in `inv up`, there is nothing to compare.
        comparisons=resolved.case.comparisons if resolved.case.benchmarks else (),
    )
    if error is None and verdict.outcome == "unknown":
        first_cause_of(record)
    code = record.finish(verdict, error, interrupted=bool(interrupts.first))
    view.table(record.run)
    view.outcome(record.run, record.path / "report.md")
    return code


@contextmanager
def begin(
    request: Request, resolved: ResolvedCase, view: View, argv: Sequence[str]
) -> Iterator[Record]:
    """Start the record of a run, with the case, its warnings and the plan on paper.

    Args:
        request: has the folder of all runs.
        resolved: the case and its hosts.
        view: shows steps and notes.
        argv: the command line that runs the night again.
    """
    case, runs = resolved.case, Path(request.runs)
    with start(runs, view, write_reports, case=case.name, config=case.path, argv=argv) as record:
        record.expect(case.benchmarks, case.comparisons)
        record.update(targets=resolved.inputs.targets)
        for warning in case.warnings:
            record.note(f"warning: {warning}")
        record.write_plan(resolved.plan)
        yield record


def prove(served: Served, record: Record) -> tuple[Check, ...]:
    """Run the smoke test, and record the version that answers."""
    endpoint, request = served.plan.endpoint, served.plan.case.smoke_request
    with record.step("prove that it answers"):
        checks = served.processes.run_locally(
            lambda: smoke(served.ask, endpoint, SMOKE_TIMEOUT_S, request),
            "the completions and the chat of the smoke test",
        )
        version = served_version(served.ask, endpoint) or "unknown"
        record.update(proved=checks, versions={"vllm served": version})
    return checks


def prove_content(served: Served, record: Record, workspace: str) -> tuple[Check, ...]:
    """Run the tests of the case's `test_content`, and record their checks.

    Args:
        served: the running deployment.
        record: receives the checks.
        workspace: of this machine, which may have the pictures; empty for the default.

    Raises:
        UserError: a picture is missing; the message explains how to get it.
    """
    plan, processes = served.plan, served.processes
    if not plan.case.content:
        return ()
    leader = processes.agents[plan.leader]
    roots = roots_of(workspace_of(workspace))

    def run(test: ContentTest) -> Check:
        if test.kind == "process_count":
            return count_processes(test, leader, processes.run)
        picture = functools.partial(picture_url, agent=leader, roots=roots)
        return run_request(test, served.ask, plan.endpoint, picture)

    with record.step("run the tests of test_content"):
        checks = processes.run_locally(
            lambda: tuple(map(run, plan.case.content)), "the tests of test_content"
        )
        record.update(proved=(*record.run.proved, *checks))
    return checks


def prove_functional(served: Served, suite: Suite | None, record: Record) -> tuple[Check, ...]:
    """Run the functional suite, keep its report with the run, and record its checks.

    Args:
        served: the running deployment.
        suite: the cases; None runs nothing.
        record: receives the checks and the report.

    Raises:
        InfrastructureError: the endpoint does not answer.
    """
    if suite is None:
        return ()
    plan, processes = served.plan, served.processes
    total, done, failed = len(suite.cases), 0, 0

    def progress(result: CaseResult) -> None:
        nonlocal done, failed
        done, failed = done + 1, failed + (result.outcome == "failed")
        if done % PROGRESS_EVERY == 0:
            record.view.note(f"functional: {done} of {total} cases, {failed} failed")

    with record.step("prove the API case by case", "tool"):
        report = processes.run_locally(
            lambda: run_functional(
                plan, processes.agents[plan.leader], suite, os.environ, progress
            ),
            f"the {total} cases of {suite.file}",
        )
        for name, content in functional_files(report).items():
            record.keep(name, content)
        for note in skips(report):
            record.note(note)
        checks = functional_checks(report)
        kept = functional_report(report)
        record.update(proved=(*record.run.proved, *checks), functional_report=kept)
    return checks


def _unfinished(item: Evaluation, cause: str, record: Record) -> Result:
    """Record the evaluation during which the night ended."""
    result = Result(problems=(f"not finished: {cause}",))
    benchmark, raw = item.benchmark, f"evaluate/{item.process}/raw"
    record.evaluated(benchmark.name, benchmark.tool, result, None, raw)
    return result


def first_cause_of(record: Record) -> Explanation | None:
    """Find the first cause in the collected logs, note it, and keep it in the record."""
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
