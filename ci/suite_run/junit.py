"""Render junit.xml of a suite's run: a test suite for each night. Reads the nights' records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from junitparser import Error, Skipped, TestCase, TestSuite

from ci.connect.printed import clean, one_line
from ci.errors import UserError
from ci.record.stored import read_run
from ci.report.junit import suite_of, text_of
from ci.suite_run.rows import remark

if TYPE_CHECKING:
    from pathlib import Path

    from ci.suite.progress import NightState, SuiteRun


def junit_of(run: SuiteRun, runs: Path) -> str:
    """Render a run: what is muted is skipped, what was not begun is an error.

    Args:
        run: the run.
        runs: the folder of all runs.
    """
    suites = [_suite(night, runs) for night in run.nights]
    suites += [_alone(f"left out {number}", text) for number, text in enumerate(run.problems, 1)]
    return text_of(suites or [_alone(run.name, "no night was begun")])


def _suite(night: NightState, runs: Path) -> TestSuite:
    last = night.last
    if last is None:
        return _muted(night, _alone(night.name, f"not begun: {night.note}"))
    try:
        suite = suite_of(read_run(runs / last.run).run, night.name)
    except UserError as error:
        suite = _alone(night.name, remark(night) or str(error))
    return _muted(night, suite)


def _alone(name: str, text: str) -> TestSuite:
    """Return a suite with one error, so that it does not look green."""
    suite = TestSuite(one_line(name))
    case = TestCase("the night", classname=one_line(name))
    case.result = [Error(one_line(text), "Unknown")]
    suite.add_testcase(case)
    return suite


def _muted(night: NightState, suite: TestSuite) -> TestSuite:
    """Return a suite whose failures are skipped if its night is muted."""
    mute = night.mute
    if mute is None:
        return suite
    quiet = TestSuite(suite.name)
    for case in suite:
        if case.result:
            what = "; ".join(filter(None, (each.message for each in case.result)))
            why = f"muted until {mute.until} by {mute.owner}: {mute.because}; {what}"
            case.result = [Skipped(clean(one_line(why)))]
        quiet.add_testcase(case)
    return quiet
