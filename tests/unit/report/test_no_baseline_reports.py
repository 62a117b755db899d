"""Test how every report shows a figure that passed without a baseline."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from junitparser import JUnitXml
from sample_run import sample

from ci.judge.verdict import NO_BASELINE, Check
from ci.record.text import headline_of, next_step
from ci.report import junit, markdown
from ci.report.console import Plain
from ci.report.live import Live
from ci.report.page.actions import actions_of
from ci.report.screen import SafeStream, ending

HELD = Check("acc", "accuracy", 45.0, "%", 45.0, "-15 pp", 30.0, "pass")
NEW = Check("perf", "output_token_throughput", 80.0, "tok/s", None, "", None, "pass", NO_BASELINE)
ZERO = Check("gsm8k", "accuracy", 0.0, "%", None, "", None, "pass", NO_BASELINE)
SMOKE = Check("smoke", "answers", 8.0, "tokens", None, "", None, "pass")
FOREIGN = Check(
    *("load", "output_token_throughput", 9.0, "tok/s", None, "", None, "pass"),
    f"{NO_BASELINE}; void: 01:02:10–01:02:44: 65% of the 2 cores of host b went to processes "
    "outside the run (ffmpeg 812: 38 s)",
)
SLOWED = Check("burst", "ttft_p50", 9.0, "ms", None, "", None, "pass", f"{NO_BASELINE}; void: heat")
DISTURBED = Check(
    *("acc", "accuracy", 9.0, "%", None, "", None, "pass"),
    f"{NO_BASELINE}; the hosts were disturbed: void",
)
END = (
    "load: void, so that the figure does not count: end the processes outside the run that its "
    "reason names, and run the case again"
)
REPAIR = (
    "burst: void, so that the figure does not count: end or repair what disturbed it, and run the "
    "case again"
)
NEXT = "perf: from the fifth night on, the nights before are the baseline"


@pytest.mark.parametrize(
    ("checks", "line"),
    [
        ((), ""),
        ((HELD, SMOKE), ""),
        ((HELD, SMOKE, NEW), NEXT),
        ((NEW, ZERO), "gsm8k: no answer was right; read its items before you trust the 0 %"),
        ((FOREIGN,), END),
        ((SLOWED, NEW), f"{REPAIR}; {NEXT}"),
        ((DISTURBED,), NEXT.replace("perf", "acc")),
    ],
)
def test_the_next_step_is_one_line(checks: tuple[Check, ...], line: str) -> None:
    assert next_step([vars(check) for check in checks]) == line


@pytest.mark.parametrize(
    ("checks", "line"),
    [
        ((HELD, NEW), "PASS: 2 checks, 1 of them without a baseline yet"),
        ((HELD, FOREIGN), "PASS: 2 checks, 1 of them void: its figure does not count"),
        ((FOREIGN, SLOWED), "PASS: 2 checks, 2 of them void: their figures do not count"),
        (
            (NEW, FOREIGN),
            "PASS: 2 checks, 1 of them without a baseline yet, 1 void: its figure does not count",
        ),
        ((HELD, DISTURBED), "PASS: 2 checks, 1 of them without a baseline yet"),
    ],
)
def test_the_headline_says_which_figures_do_not_count(checks: tuple[Check, ...], line: str) -> None:
    assert headline_of(sample(*checks)) == line


def test_a_step_begins_with_the_name_of_the_benchmark_as_it_is_written() -> None:
    run = sample(HELD, NEW, cause=None)
    assert NEXT in [each.text for each in actions_of(run)]
    assert f"next   {NEXT}" in [f"{word:<6} {text}" for word, text, _ in ending(run, Path("r"))]


def test_the_console_shows_the_figure_and_the_next_step() -> None:
    stream = io.StringIO()
    view = Plain(SafeStream(stream))
    run = sample(HELD, NEW)
    view.table(run)
    view.outcome(run, Path("report.md"))
    assert stream.getvalue().splitlines() == [
        "check  value        baseline  tolerance  outcome  reason",
        "acc    45.00 %      45.00 %   -15 pp     pass",
        "perf   80.00 tok/s  -         -          pass     no baseline yet",
        "PASS: 2 checks, 1 of them without a baseline yet",
        f"next   {NEXT}",
        "report report.md",
    ]


def test_the_live_view_shows_the_same() -> None:
    stream = io.StringIO()
    view = Live(SafeStream(stream))
    run = sample(HELD, NEW)
    view.table(run)
    view.outcome(run, Path("report.md"))
    view.close()
    assert NO_BASELINE in stream.getvalue()
    assert f"next   {NEXT}" in stream.getvalue()


def test_the_headline_reports_a_failure_of_another_benchmark() -> None:
    failed = Check("acc", "accuracy", 20.0, "%", 45.0, "-15 pp", 30.0, "fail", "10 pp below")
    text = markdown.render(sample(failed, NEW))
    assert text.startswith("# FAIL: 1 of 2 checks missed the bound\n")
    assert f"\nNext: {NEXT}\n" in text


def test_the_report_has_a_row_without_baseline_and_bound() -> None:
    text = markdown.render(sample(HELD, NEW))
    assert text.startswith("# PASS: 2 checks, 1 of them without a baseline yet\n")
    row = "| perf | output_token_throughput | 80.00 tok/s | - | - | - | pass | no baseline yet |"
    assert f"\n{row}\n\nNext: {NEXT}\n" in text
    assert "None" not in text


def test_a_report_without_new_figures_has_no_next_step() -> None:
    assert "Next:" not in markdown.render(sample(HELD))


def test_junit_passes_with_a_reason() -> None:
    (suite,) = JUnitXml.fromstring(junit.render(sample(NEW)))
    (case,) = suite
    assert case.is_passed
    assert case.system_out == "no baseline yet; measured 80.00 tok/s"
