"""Prove that a deployment answers as it has to: before the measurements, and at the end."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from ci.catalog.datasets import roots_of
from ci.judge.handover import handover_checks
from ci.judge.router_health import health_checks
from ci.paths import workspace_of
from ci.serve.content import count_processes, picture_url, run_request
from ci.serve.fronts import hands_over
from ci.serve.probe import served_version
from ci.serve.router_health import ends_of_servers
from ci.serve.smoke import smoke

if TYPE_CHECKING:
    from ci.case.model import ContentTest
    from ci.functional.load import Suite
    from ci.functional.run import Result
    from ci.judge.verdict import Check
    from ci.record.record import Record
    from ci.session import Served

SMOKE_TIMEOUT_S = 60.0
# A note for so many functional cases: some in a suite of two minutes.
PROGRESS_EVERY = 100


def prove_all(
    served: Served, record: Record, suite: Suite | None, workspace: str
) -> tuple[Check, ...]:
    """Run every proof that the case wants, in order.

    Args:
        served: the running deployment.
        record: receives the checks.
        suite: the functional suite; None runs none.
        workspace: of this machine; empty for the default.

    Raises:
        UserError: a picture is missing; the message explains how to get it.
        InfrastructureError: the endpoint does not answer.
    """
    return (
        *prove(served, record),
        *prove_handover(served, record),
        *prove_content(served, record, workspace),
        *prove_functional(served, suite, record),
    )


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


def prove_handover(served: Served, record: Record) -> tuple[Check, ...]:
    """Prove that prefill servers prefill and decode servers take their cache; record the checks.

    A case without a router, or without both roles behind it, has nothing to prove.
    """
    plan, processes = served.plan, served.processes
    if not hands_over(plan):
        return ()
    from ci.serve.handover import NoMetrics, handovers  # noqa: PLC0415 - few nights need it

    with record.step("prove that the KV cache is handed over", "tool"):
        try:
            found = processes.run_locally(
                lambda: tuple(handovers(plan, processes.agents)),
                "the requests through the router, and their traces at the servers",
            )
        except NoMetrics:
            record.note(
                "the handover of the KV cache is not proven: the servers do not count requests; "
                "serve without --disable-log-stats"
            )
            return ()
        checks = handover_checks(found)
        record.update(proved=(*record.run.proved, *checks))
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
    from ci.serve.functional import (  # noqa: PLC0415 - most nights run no suite
        functional_checks,
        functional_files,
        functional_report,
        not_run,
        run_functional,
    )

    plan, processes = served.plan, served.processes
    total, done, failed = len(suite.cases), 0, 0

    def progress(result: Result) -> None:
        nonlocal done, failed
        done, failed = done + 1, failed + (result.outcome == "failed")
        if done % PROGRESS_EVERY == 0:
            record.view.note(f"functional: {done} of {total} cases, {failed} failed")

    with record.step("prove the API case by case", "tool"):
        report = processes.run_locally(
            lambda: run_functional(plan, processes.agents, suite, os.environ, progress),
            f"the {total} cases of {suite.file}",
        )
        for name, content in functional_files(report).items():
            record.keep(name, content)
        for note in not_run(report):
            record.note(note)
        checks = functional_checks(report)
        kept = functional_report(report)
        record.update(proved=(*record.run.proved, *checks), functional_report=kept)
    return checks


def prove_router_health(served: Served, record: Record, *, keep: bool) -> tuple[Check, ...]:
    """End servers, and prove that the router's health is the truth; record the checks.

    It is the last step of a night whose case has `prove_health: true`.

    Args:
        served: the running deployment; it serves nothing afterwards.
        record: receives the checks.
        keep: whether the servers are to keep running; then nothing is ended.
    """
    plan, processes = served.plan, served.processes
    if plan.router is None or not plan.case.router or not plan.case.router.prove_health:
        return ()
    if keep:
        record.note("prove_health: not proven, because it ends servers that are to keep running")
        return ()
    with record.step("end servers, and compare the router's health with the truth", "tool"):
        checks = health_checks(tuple(ends_of_servers(plan, served.servers, processes)))
        record.update(proved=(*record.run.proved, *checks))
    return checks
