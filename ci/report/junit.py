"""Render junit.xml from a run. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from junitparser import Error, Failure, JUnitXml, TestCase, TestSuite

from ci.connect.printed import CONTROLS, clean, one_line
from ci.record.text import figure, headline, passes_of, requirement
from ci.report.since_good import changes, summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.verdict import Check
    from ci.record.model import Run


def render(run: Run, attachments: Sequence[str] = ()) -> str:
    """Render a run as JUnit XML: fail is a failure, unknown is an error.

    A run without checks has one test case with an error, so that it does not look green.

    Args:
        run: the record.
        attachments: paths that GitLab and Jenkins show beside what did not pass, in the form of
            https://docs.gitlab.com/ci/testing/unit_test_reports/ and of Jenkins'
            junit-attachments plugin.
    """
    return text_of([suite_of(run, attachments=attachments)])


def suite_of(run: Run, name: str = "", attachments: Sequence[str] = ()) -> TestSuite:
    """Return a run as a test suite.

    Args:
        run: its record.
        name: of the suite; empty for that of the case.
        attachments: as for `render`.
    """
    suite = TestSuite(one_line(name or f"lamplighter {run.case}"))
    suite.timestamp = one_line(run.started_at)
    suite.hostname = one_line(run.controller.host)
    for key, value in {"run": run.id, "command": run.command, **run.versions}.items():
        suite.add_property(one_line(key), one_line(str(value)))
    cases = [_case(run, check) for check in run.checks] or [_nothing_checked(run)]
    for case in cases:
        if case.result and attachments:
            attached = (f"[[ATTACHMENT|{one_line(path)}]]" for path in attachments)
            case.system_out = "\n".join(attached)
        suite.add_testcase(case)
    suite.time = run.seconds  # after the cases, because each added case changes it
    return suite


def text_of(suites: Sequence[TestSuite]) -> str:
    """Write test suites as JUnit XML."""
    report = JUnitXml("lamplighter")
    for suite in suites:
        report.add_testsuite(suite)
    xml: bytes = report.tostring()  # type: ignore[no-untyped-call]
    return CONTROLS.sub("", xml.decode()) + "\n"  # XML forbids them, wherever they come from


def _case(run: Run, check: Check) -> TestCase:
    case = TestCase(one_line(check.metric), classname=one_line(f"{run.case}.{check.name}"))
    text = _description(run, check)
    if check.outcome == "fail":
        case.result = [_result(Failure(text, "MissedBound"), _with_cause(run, text))]
    elif check.outcome != "pass":
        case.result = [_result(Error(text, "Unknown"), _with_cause(run, text))]
    else:
        # Text in two brackets would attach a file of the CI server.
        case.system_out = re.sub(r"\[(?=\[)", "[ ", text)
    return case


def _description(run: Run, check: Check) -> str:
    unit = check.unit
    words = [f"measured {figure(check.value, unit)}"] if check.value is not None else []
    if asked := requirement(vars(check)):
        words.append(f"{asked} was asked for")
    if check.baseline is not None:
        words.append(f"baseline {figure(check.baseline, unit)}, {check.tolerance}")
    words.append(passes_of(run, check))
    return one_line("; ".join(filter(None, [check.reason, *words])))


def _nothing_checked(run: Run) -> TestCase:
    case = TestCase("nothing was checked", classname=one_line(run.case))
    text = headline(run.outcome, [])
    case.result = [_result(Error(text, "Unknown"), _with_cause(run, text))]
    return case


def _with_cause(run: Run, text: str) -> str:
    """Append the cause and the last lines of its log, because many readers see only this text."""
    cause, since = run.cause, run.since_good
    if cause:
        text = "\n".join([text, f"{cause.kind}: {cause.message}", *cause.tail])
    return "\n".join([text, summary(since), *changes(since)]) if since else text


def _result(result: Failure | Error, text: str) -> Failure | Error:
    result.text = clean(text)
    return result
