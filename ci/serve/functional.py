"""Run the functional suite of a night against its endpoint, and judge it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.case.without_router import behind_router
from ci.documents.counted import counted
from ci.functional.capabilities import VARIABLE, of_command_line, of_variable
from ci.functional.client import Endpoint, root_of
from ci.functional.find import FOLDER
from ci.functional.known import known_of
from ci.functional.report import as_json, junit, summary
from ci.functional.run import Options, run_suite
from ci.judge.verdict import Check
from ci.serve.fronts import ENDPOINT, fronts, hands_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.agent.client import Agent
    from ci.functional.load import Suite
    from ci.functional.run import Report, Result
    from ci.plan.model import Plan
    from ci.serve.fronts import Front

METRIC = "failed cases"
# Longer than at a prompt: a busy CPU takes minutes for a case of many requests at once.
REQUEST_TIMEOUT_S = 300.0


def run_functional(
    plan: Plan,
    agents: Mapping[str, Agent],
    suite: Suite,
    environment: Mapping[str, str],
    progress: Callable[[Result], None],
) -> Report:
    """Run a suite against the endpoint of a plan.

    Behind a router with prefill and decode apart, a decode server has to give the same answers.

    Args:
        plan: has the endpoint, its key, and the command lines that declare capabilities.
        agents: host → agent.
        suite: the cases.
        environment: of this machine; its LAMPLIGHTER_CAPABILITIES declares more.
        progress: called with each result.

    Raises:
        InfrastructureError: the endpoint does not answer.
    """
    declared = {
        *of_variable(environment.get(VARIABLE, "")),
        *(name for server in plan.servers for name in of_command_line(server.argv)),
    }
    behind = behind_router(plan.servers) if hands_over(plan) else None
    wanted = {ENDPOINT, *((behind.name,) if behind else ())}
    with fronts(plan, agents, wanted) as reached:
        options = Options(
            capabilities=tuple(sorted(declared)),
            known=lambda version: known_of(version, FOLDER / "known"),
            reference=endpoint_at(reached[behind.name], plan) if behind else None,
        )
        endpoint = endpoint_at(reached[ENDPOINT], plan)
        return run_suite(suite, suite.cases, endpoint, options, progress)


def endpoint_at(front: Front, plan: Plan) -> Endpoint:
    """Return a front as an endpoint of a suite."""
    return Endpoint(
        root_of(front.url),
        plan.endpoint.model,
        front.key,
        authorities=front.trust,
        server_name=front.name,
        timeout_s=REQUEST_TIMEOUT_S,
    )


def functional_checks(report: Report) -> tuple[Check, ...]:
    """Judge each type of case: it fails if a case failed.

    A type whose cases were all skipped has no check, since the server does not support it, and
    `not_run` tells of it. A suite of which nothing ran is unknown.
    """
    kinds = dict.fromkeys(each.case.kind for each in report.results if each.outcome != "skipped")
    if not kinds:
        return (_check("", list(report.results)),)
    return tuple(
        _check(kind, [result for result in report.results if result.case.kind == kind])
        for kind in kinds
    )


def not_run(report: Report) -> list[str]:
    """Return a note for each reason why cases did not run."""
    reasons = [result.reason for result in report.results if result.outcome == "skipped"]
    notes = [
        f"functional: {counted(reasons.count(reason), 'case')} skipped, {reason}"
        for reason in dict.fromkeys(reasons)
    ]
    if report.died:
        notes.append(f"functional: the server died, so the other cases did not run: {report.died}")
    return notes


def _check(kind: str, results: list[Result]) -> Check:
    counts = summary(results)
    ran = counts["passed"] + counts["known"] + counts["failed"]
    failed = [result for result in results if result.outcome == "failed"]
    skipped = f"{counts['skipped']} skipped" if counts["skipped"] else ""
    known = f"{counts['known']} failed as known" if counts["known"] else ""
    reason = ", ".join(filter(None, (f"of {counts['total']} cases", known, skipped)))
    if failed:
        reason = f"{failed[0].case.id}: {failed[0].reason}"
    return Check(
        name=f"functional {kind}".rstrip(),
        metric=METRIC,
        value=float(counts["failed"]) if ran else None,
        unit="cases",
        baseline=None,
        tolerance="",
        bound=0.0,
        outcome="fail" if failed else "pass" if ran else "unknown",
        reason=reason if ran else f"no case ran: {reason}",
        operator="<=",
    )


def functional_report(report: Report) -> dict[str, Any]:
    """Return the results for the record, by type: summary, and each case without its requests."""
    kinds = dict.fromkeys(result.case.kind for result in report.results)
    by_kind = {}
    for kind in kinds:
        results = [result for result in report.results if result.case.kind == kind]
        by_kind[kind] = {
            "summary": summary(results),
            "results": [
                {
                    "id": result.case.id,
                    "ok": result.outcome in ("passed", "known"),
                    "outcome": result.outcome,
                    "error": result.reason or None,
                }
                for result in results
            ],
        }
    return by_kind


def functional_files(report: Report) -> dict[str, Any]:
    """Return name → content of the files that a run keeps of its suite."""
    return {"functional.json": as_json(report), "functional.junit.xml": junit(report, "functional")}
