"""Test the two views of a running suite, and its report and JUnit."""

import io
import re

import pytest
from junitparser import JUnitXml
from sample_run import check, sample
from suite_runs import attempt, ended, night, suite_run

from ci.record.stored import as_text
from ci.report.screen import SafeStream
from ci.suite_run.junit import junit_of
from ci.suite_run.markdown import markdown_of
from ci.suite_run.screen import LiveSuite, PlainSuite

ROWS = [
    ("first", "running", "h1", "~5m", "server-0: 30 s"),
    ("second", "waiting", "h2", "1h00m", "begins ~23:10"),
    ("third", "fail (muted)", "h3", "", "missed"),
]


def test_plain_lines_each_minute():
    stream = io.StringIO()
    view = PlainSuite(SafeStream(stream))
    view.line("begin", "first on h1 with HF_TOKEN=secret-123456")
    for now_s in (0.0, 30.0, 61.0, 90.0):
        view.show(ROWS, "1 running, 1 waiting", now_s)
    view.close()
    assert stream.getvalue().splitlines() == [
        "begin  first on h1 with HF_TOKEN=***",
        "state  1 running, 1 waiting",
        "       first on h1: ~5m left; server-0: 30 s",
    ]


def test_a_live_table_of_all_nights():
    stream = io.StringIO()
    view = LiveSuite(SafeStream(stream))
    view.show(ROWS, "1 running, 1 waiting", 0.0)
    view.line("pass", "fourth")
    view.warn("careful")
    view.close()
    text = stream.getvalue()
    assert "pass   fourth" in text
    assert "! careful" in text


@pytest.mark.parametrize("columns", [60, 80, 100, 200])
def test_each_night_has_one_line_of_the_live_table(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("TERM", "xterm")
    long = "server-1 on h3: python3: can't open file 'a/b': [Errno 2] No such file " * 3
    rows = [
        ("Qwen3-235B-W8A8-with-a-long-name@0.32.0", "unknown (muted)", "h1, h2, h3", "", long),
        ("second", "running again", "h4, h5, h6 and 2 more", "~1h 30m", "acc: 12 of 200"),
    ]
    stream = io.StringIO()
    view = LiveSuite(SafeStream(stream))
    view.show(rows, "1 running, 1 unknown", 0.0)
    view.close()
    lines = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", stream.getvalue()).splitlines()
    first, second, *_ = (line for line in lines if "Qwen3-235B" in line or "second" in line)
    assert "unknown (muted)" in first
    assert "…" in first
    assert "running again" in second
    assert "~1h 30m" in second
    assert ("h4, h5, h6" in second) == (columns >= 100)
    assert {line for line in lines if "Errno" in line} <= {first}


@pytest.fixture
def runs(tmp_path):
    def write(name, *checks):
        (tmp_path / name).mkdir()
        run = sample(*checks)
        (tmp_path / name / "run.json").write_text(as_text(run))

    write("run-pass-h1", check("pass"))
    write("run-fail-h2", check("fail", reason="too low"))
    return tmp_path


def test_junit_has_a_suite_for_each_night(runs):
    run = suite_run(
        night("good", "ended", attempt("pass", "h1")),
        night("bad", "ended", attempt("fail", "h2")),
        night("known", "ended", attempt("fail", "h2"), muted=True),
        night("late", "left-out", note="does not fit"),
        night("lost", "ended", attempt("unknown", "h9", cause="its process died")),
        problems=("x.yaml:1:1: bad",),
    )
    suites = {each.name: each for each in JUnitXml.fromstring(junit_of(run, runs).encode())}
    counts = {name: (each.failures, each.errors, each.skipped) for name, each in suites.items()}
    assert counts == {
        "good": (0, 0, 0),
        "bad": (1, 0, 0),
        "known": (0, 0, 1),
        "late": (0, 1, 0),
        "lost": (0, 1, 0),
        "left out 1": (0, 1, 0),
    }
    (case,) = suites["known"]
    assert case.result[0].message.startswith("muted until 2026-12-31 by me: known; ")


def test_the_report_escapes_what_nights_say():
    bad = night("a|b", "ended", attempt("fail", "h1", cause="<b>`x`|"), owner="me")
    text = markdown_of(suite_run(bad, ended("m", "fail", muted=True), outcome="fail", exit_code=1))
    assert text.startswith("# FAIL: 1 of 1 night failed\n")
    assert "| a\\|b | fail | me |" in text
    assert "\\<b>\\`x\\`\\|" in text
    assert "## Muted: they run, and do not count" in text
