"""Test the reports of a run: Markdown, JUnit and console, with no secret in them."""

import io
import re
import shlex
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from subprocess import run as run_command
from sys import executable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from junitparser import Error, Failure, JUnitXml
from sample_run import check, sample

from ci.connect.printed import clean, one_line
from ci.errors import Interrupted, ProcessDied
from ci.judge.verdict import Check
from ci.record.cause import TAIL_LINES, cause_of
from ci.record.redact import plain
from ci.record.start import run_id
from ci.record.steps import Step, account, covered_s
from ci.record.stored import as_run
from ci.record.text import check_row, duration, figure, headline, headline_of
from ci.report import junit, markdown, reports
from ci.report.console import Plain
from ci.report.markdown import cell
from ci.report.screen import SafeStream, ending, near, report_in

NASTY = "a | b ``` c <script> \x1b[31mred\x1b[0m \x00 \\| end"


# Words -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("\x1b[1;32mINFO\x1b[0m ok", "INFO ok"),
        ("\x1b]0;title\x07shown", "shown"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(B\x1bMback", "back"),
        ("bell\x07 null\x00 del\x7f csi\x9b", "bell null del csi"),
        ("turned \u202ednuora", "turned dnuora"),
        ("half \ud83d", "half "),
        ("ünï 模型\tkept\n", "ünï 模型\tkept\n"),
    ],
)
def test_clean_removes_terminal_controls(text, expected):
    assert clean(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10%\r50%\r100%", "100%"),
        ("a\r\nb\n\n  c ", "a b c"),
        ("10%\r50%\r", "50%"),
        ("", ""),
    ],
)
def test_one_line_keeps_the_last_state_of_a_progress_bar(text, expected):
    assert one_line(text) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0.0 s"), (99.94, "99.9 s"), (125, "2 min 05 s"), (11_520, "3 h 12 min"), (None, "-")],
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (22.5, "%", "22.50 %"),
        (None, "%", "-"),
        ("nan", "", "nan"),
        (3, "", "3"),
        (1e6, "", "1000000.00"),
    ],
)
def test_figure(value, unit, expected):
    assert figure(value, unit) == expected


@pytest.mark.parametrize(
    ("outcome", "outcomes", "how", "expected"),
    [
        ("pass", ["pass"], {}, "PASS: 1 check, all within tolerance"),
        ("fail", ["fail", "pass", "unknown"], {}, "FAIL: 1 of 3 checks missed the bound"),
        ("unknown", ["pass", "unknown"], {}, "UNKNOWN: 1 of 2 checks could not be judged"),
        ("unknown", [], {}, "UNKNOWN: nothing was checked"),
        ("unknown", [], {"interrupted": True}, "INTERRUPTED, UNKNOWN: nothing was checked"),
    ],
)
def test_headline(outcome, outcomes, how, expected):
    assert headline(outcome, outcomes, **how) == expected


def test_plain_returns_only_json_values():
    tree = plain({"a": (1, Path("x")), "b": float("nan"), "c": check("pass"), 3: {"d"}})
    assert tree["a"] == [1, "x"]
    assert tree["b"] == "nan"
    assert tree["c"]["outcome"] == "pass"
    assert tree["3"] == ["d"]


# Time ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], 0),
        ([(0, 2), (3, 4)], 3),
        ([(0, 10), (2, 3)], 10),
        ([(5, 8), (0, 6)], 8),
        ([(1, 2), (2, 3)], 2),
    ],
)
def test_overlapping_spans_count_once(spans, expected):
    assert covered_s(spans) == expected


def test_overhead_excludes_servers_and_tools():
    steps = [
        Step("plan", "own", "", 0, 1),
        Step("start", "server", "", 1, 11),
        Step("prepare, within start", "tool", "", 2, 5),
        Step("evaluate", "tool", "", 12, 20),
        Step("still evaluating", "tool", "", 21, None),
    ]
    assert account(steps, 23) == {"seconds": 23, "server_s": 10, "tool_s": 13, "overhead_s": 3}


def test_run_id_is_in_utc_and_safe_as_a_file_name():
    east = datetime(2026, 1, 2, 1, 30, tzinfo=timezone(timedelta(hours=8)))
    name = run_id("Qwen/../3 x", east)
    assert re.fullmatch(r"20260101-173000-Qwen-..-3-x-[0-9a-f]{4}", name)
    assert len(run_id("x" * 500, datetime.now(UTC))) < 100


# Causes ----------------------------------------------------------------------------------------


def test_a_cause_has_the_process_and_the_end_of_its_log():
    lines = tuple(f"\x1b[31mline {n}\x1b[0m" for n in range(100))
    cause = cause_of(ProcessDied("server-0", "out of memory", lines))
    assert cause["kind"] == "ProcessDied"
    assert cause["message"] == "server-0: out of memory"
    assert cause["process"] == "server-0"
    assert cause["tail"] == [f"line {n}" for n in range(100 - TAIL_LINES, 100)]


def test_a_bug_has_its_traceback_and_an_interrupt_has_none():
    with pytest.raises(ZeroDivisionError) as caught:
        divmod(1, 0)
    assert "divmod(1, 0)" in "\n".join(cause_of(caught.value)["tail"])
    assert cause_of(Interrupted("interrupted by SIGTERM"))["tail"] == []
    assert cause_of(KeyboardInterrupt())["message"].startswith("interrupted")
    assert cause_of(None) is None


# Markdown --------------------------------------------------------------------------------------


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(alphabet=st.sampled_from("`~ab\n |"), max_size=60))
def test_nothing_closes_the_fence_but_its_end(text):
    first, *inside, last = markdown.fence(text).split("\n")
    assert first == last
    assert not any(re.match(rf" {{0,3}}`{{{len(first)},}}\s*$", line) for line in inside)


@pytest.mark.parametrize("text", [NASTY, "|", "a\\", "\\|", "one\ntwo|", ""])
def test_a_cell_stays_one_cell(text):
    row = markdown.row([text, "next"])
    unescaped = re.sub(r"\\.", "", row)
    assert unescaped.count("|") == 3
    assert "\n" not in row


def test_markdown_begins_with_the_outcome_and_has_the_command():
    text = markdown.render(sample(check("pass"), check("fail", "speed")))
    assert text.startswith("# FAIL: 1 of 2 checks missed the bound\n")
    assert "| words | accuracy | 20.00 % | 22.50 % | -5 pp | 17.50 % | pass | - |" in text
    assert "cd '/home/operator/lamp lighter'\ninv nightly --config local.yaml\n" in text
    assert "`overhead_s` = 2.0" in text
    assert "| vllm | 0.32.0 |" in text
    assert "Smoke only" not in text


def test_markdown_survives_hostile_text():
    cause = {
        "kind": "ProcessDied",
        "message": NASTY,
        "process": "s",
        "tail": [NASTY, "```", "````"],
    }
    text = markdown.render(sample(check("unknown", reason=NASTY), cause=cause))
    outside = re.sub(r"`````text\n.*?\n`````", "", text, flags=re.DOTALL)
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "<script>" not in outside.replace("\\<", "")
    assert "`````text" in text


def test_markdown_shows_smoke_only_problems_and_survivors():
    evaluation = {
        "benchmark": "words",
        "tool": "aisbench",
        "started_at": None,
        "ended_at": None,
        "settings": None,
        "measurements": [
            {"benchmark": "words", "metric": "ttft_mean", "value": 12.345, "unit": "ms", "n": 4}
            | {"items": None, "source": "perf.csv"},
        ],
        "problems": ["3 of 40 missing"],
        "n_items": 37,
        "items": None,
        "raw": "evaluate/words",
    }
    text = markdown.render(
        sample(
            check("pass", "smoke"),
            benchmarks=[],
            evaluations=[evaluation],
            survivors=["server-0 on bench: pid 7"],
            processes=[{"name": "server-0", "host": "bench", "state": "stopped", "killed": 1}],
            record_failure="journal.jsonl: No space left on device",
        ),
    )
    assert text.startswith("# PASS: 1 check, all within tolerance (smoke only: the case has no")
    assert "Smoke only: the case has no benchmarks" in text
    assert "| words | ttft_mean | 12.35 ms | 4 | perf.csv |" in text
    assert "- words: 3 of 40 missing" in text
    assert "| server-0 | bench | stopped | - |" in text
    assert "**Left running:** server-0 on bench: pid 7" in text
    assert "**The record is incomplete:** journal.jsonl: No space left on device" in text
    assert "None" not in text


def test_the_step_summary_is_appended_to(tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    reports.append_step_summary("# PASS\n", {"GITHUB_STEP_SUMMARY": str(summary)})
    reports.append_step_summary("# PASS\n", {})
    assert summary.read_text() == "before\n# PASS\n\n"


# JUnit -----------------------------------------------------------------------------------------


def suite(run):
    (only,) = JUnitXml.fromstring(junit.render(run))
    return only


def test_junit_fail_is_a_failure_and_unknown_an_error():
    read = suite(sample(check("pass"), check("fail"), check("unknown", reason="nan & <b>")))
    assert (read.tests, read.failures, read.errors, read.time) == (3, 1, 1, 100.0)
    passed, failed, unknown = read
    assert passed.is_passed
    assert isinstance(failed.result[0], Failure)
    assert isinstance(unknown.result[0], Error)
    assert unknown.result[0].message.startswith("nan & <b>")


@pytest.mark.parametrize(
    ("operator", "words"),
    [
        (">=", "at least 17.50 % was asked for"),
        (">", "more than 17.50 % was asked for"),
        ("<=", "at most 17.50 % was asked for"),
        ("<", "less than 17.50 % was asked for"),
    ],
)
@pytest.mark.parametrize("outcome", ["pass", "fail", "unknown"])
def test_junit_shows_the_direction_of_the_bound(operator, words, outcome):
    (case,) = suite(sample(replace(check(outcome), operator=operator)))
    text = case.system_out if outcome == "pass" else case.result[0].message
    assert words in text
    assert text.count("asked for") == 1


def test_junit_of_an_older_record():
    stored = sample(check("pass")).model_dump(mode="json")
    del stored["checks"][0]["operator"]
    (case,) = suite(as_run(stored))
    assert "at least 17.50 % was asked for" in case.system_out


def test_junit_has_no_baseline_if_the_check_has_none():
    smoke = Check("smoke", "tokens", 8.0, "tokens", None, "", 1.0, "pass")
    (case,) = suite(sample(smoke))
    assert case.system_out == "measured 8 tokens; at least 1 token was asked for"


@pytest.mark.parametrize(("operator", "bound"), [(">=", "17.50 %"), ("<", "< 17.50 %")])
def test_the_table_shows_the_direction_of_the_bound(operator, bound):
    row = check_row(vars(replace(check("fail"), operator=operator)))
    assert row[5] == bound
    escaped = bound.replace("<", "\\<")
    assert f"| {escaped} | fail |" in markdown.render(
        sample(replace(check("fail"), operator=operator))
    )


def test_junit_without_checks_is_not_green():
    cause = {
        "kind": "NotReady",
        "message": NASTY,
        "process": None,
        "tail": ["\x1b[1mlast\x00 line"],
    }
    read = suite(sample(cause=cause))
    assert (read.tests, read.errors) == (1, 1)
    (only,) = read
    assert only.result[0].text.endswith("\nlast line")


# Console ---------------------------------------------------------------------------------------


def test_a_pipe_gets_a_line_each_half_minute_of_waiting():
    stream = io.StringIO()
    view = Plain(SafeStream(stream))
    view.step("start server-0")
    for second in range(0, 95, 5):
        view.waiting(
            "server-0", second, lambda: {"server-0": "\x1b[32mloading\x1b[0m 10%\rloading 20%"}
        )
    view.done("start server-0", 94.0, "ready")
    view.waiting("words", 29.0, dict)
    view.done("evaluate", 2.0, "nothing came", ok=False)
    assert stream.getvalue().splitlines() == [
        "start  start server-0",
        "wait   server-0: 30.0 s",
        "       server-0: loading 20%",
        "wait   server-0: 60.0 s",
        "       server-0: loading 20%",
        "wait   server-0: 90.0 s",
        "       server-0: loading 20%",
        "done   start server-0 (94.0 s): ready",
        "FAILED evaluate (2.0 s): nothing came",
    ]


def test_a_pipe_gets_a_line_for_each_figure():
    stream = io.StringIO()
    view = Plain(SafeStream(stream))
    view.so_far("acc", ("42.50 %", "40 items"))
    view.so_far("again", ("acc, 1 of at most 3", "budget: 44 min 52 s left"))
    view.so_far("why", ("accuracy 42.50 %, 60 expected",))
    view.waiting("acc", 30.0, dict, ("18 of 24 requests", "85.3 tok/s so far"))
    view.so_far("again", ())
    assert stream.getvalue().splitlines() == [
        "so far acc: 42.50 %, 40 items",
        "again  acc, 1 of at most 3, budget: 44 min 52 s left",
        "why    accuracy 42.50 %, 60 expected",
        "wait   acc: 30.0 s, 18 of 24 requests, 85.3 tok/s so far",
    ]


@pytest.mark.parametrize(
    ("written", "here", "expected"),
    [(True, True, "runs/x/report.html"), (False, True, "runs/x/report.md"), (True, False, None)],
)
def test_the_report_is_named_as_it_can_be_pasted(tmp_path, monkeypatch, written, here, expected):
    folder = tmp_path / "runs/x"
    folder.mkdir(parents=True)
    if written:
        (folder / "report.html").touch()
    monkeypatch.chdir(tmp_path if here else "/")
    assert near(report_in(folder)) == (expected or str((folder / "report.html").relative_to("/")))
    last = ending(sample(check("pass")), report_in(folder))[-1]
    assert (last.word, last.text, last.is_whole) == ("report", near(report_in(folder)), True)


def test_a_night_that_fails_names_the_next_step_and_its_command(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = sample(check("fail"), outcome="fail", exit_code=1, folder=str(tmp_path))
    lines = ending(run, tmp_path / "runs/x/report.html")
    assert [(line.word, line.text) for line in lines] == [
        ("next", "Run it again to see whether it stays"),
        # It runs in the folder in which the night ran.
        ("", run.command),
        ("report", "runs/x/report.html"),
    ]


def test_the_last_lines_are_the_checks_the_outcome_and_the_report():
    stream = io.StringIO()
    view = Plain(SafeStream(stream))
    gone = {"kind": "ProcessDied", "message": "server-0: gone", "process": "server-0", "tail": []}
    run = sample(check("pass"), check("unknown", "speed", "no\nfigure"), cause=gone)
    view.table(run)
    view.outcome(run, Path.cwd() / "runs/x/report.html")
    assert stream.getvalue().splitlines() == [
        "check  value    baseline  tolerance  outcome  reason",
        "words  20.00 %  22.50 %   -5 pp      pass",
        "speed  -        22.50 %   -5 pp      unknown  no figure",
        "UNKNOWN: 1 of 2 checks could not be judged",
        "cause  server-0: gone",
        "next   Nothing is known of the product from this night: mend the cause, then run it again",
        f"       cd {shlex.quote(run.folder)}",
        f"       {run.command}",
        "report runs/x/report.html",
    ]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"benchmarks": []}, "PASS: 1 check, all within tolerance"),
        ({"exit_code": 130}, "INTERRUPTED, PASS: 1 check, all within tolerance"),
    ],
)
def test_the_console_and_the_report_have_the_same_headline(changes, first):
    run = sample(check("pass"), **changes)
    line = headline_of(run)
    assert line.startswith(first)
    assert ("smoke only" in line) == (run.benchmarks == ())
    assert markdown.render(run).startswith(f"# {line}\n")


KEPT = {"kept_url": "http://10.0.0.1:8000", "kept_until": "2026-01-01T12:00:00.000Z"}


@pytest.mark.parametrize(
    ("kept_s", "words"),
    [
        (43200, "the servers keep running at http://10.0.0.1:8000 until 2026-01-01T12:00:00.000Z"),
        (0, "the servers kept running at http://10.0.0.1:8000 until 2026-01-01T12:00:00.000Z"),
    ],
)
def test_console_and_report_name_the_servers_that_were_kept(kept_s, words):
    run = sample(check("pass"), kept_s=kept_s, **KEPT)
    line = ending(run, Path("report.html"))[0]
    assert line.word == "next"
    assert line.text.lower().startswith(words.lower())
    assert f"**Kept:** {words}" in markdown.render(run)
    assert ("inv down --run" in line.text) == (kept_s > 0)


def test_a_stream_of_narrow_encoding_gets_question_marks():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    Plain(SafeStream(stream)).note("×0.97 模型")
    assert raw.getvalue() == b"note   ?0.97 ??\n"


def test_importing_the_console_does_not_import_rich():
    code = "import sys, ci.report.console; sys.exit('rich' in sys.modules)"
    assert run_command([executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# head", "\\# head"),
        ("- item", "\\- item"),
        ("12) x", "12\\) x"),
        (">q", "\\>q"),
        ("_x_ a_b __y__", "\\_x\\_ a_b \\_\\_y\\_\\_"),
        ("~~s~~ ~5 s", "\\~\\~s\\~\\~ ~5 s"),
        ("[x](http://y) <b> `c` | *d*", "\\[x\\](http://y) \\<b> \\`c\\` \\| \\*d\\*"),
        # Nobody is told, and no issue is told of.
        ("@all (@octo-cat) me@host", "@\u2060all (@\u2060octo-cat) me@host"),
        ("fixes #12, vllm-project/vllm#3", "fixes #\u206012, vllm-project/vllm#\u20603"),
        ("-5 pp", "-5 pp"),
        ("1.5 s", "1.5 s"),
        ("--max-model-len 3", "--max-model-len 3"),
        (None, "-"),
        ("", "-"),
    ],
)
def test_no_text_is_markdown_or_tells_anybody(text, shown):
    assert cell(text) == shown


def test_no_text_attaches_a_file_of_the_ci_server():
    run = sample(check("pass", reason="[[ATTACHMENT|/etc/passwd]] [[[ATTACHMENT|x]]"))
    assert "[[" not in junit.render(run)


def test_a_summary_stays_within_what_github_takes(tmp_path):
    target = tmp_path / "summary.md"
    env = {"GITHUB_STEP_SUMMARY": str(target)}
    for _ in range(3):
        reports.append_step_summary(f"# head\n{'ü' * 300_000}\n", env)
    text = target.read_bytes().decode()
    assert len(text.encode()) <= reports.MAX_SUMMARY_BYTES
    assert text.count("# head") == 3
    assert text.count("ü") == 300_000
    assert text.endswith("The rest is in report.md: a summary has at most 1 MiB.\n")
