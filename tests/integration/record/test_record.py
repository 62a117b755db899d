"""The record on a real disk: whole on every exit path, on a full disk, and after kill -9."""

import json
import os
import pty
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from dataclasses import replace
from io import StringIO
from itertools import repeat
from pathlib import Path

import pytest
from junitparser import JUnitXml

from ci.errors import InfrastructureError, Interrupted, ProcessDied, UserError
from ci.judge.verdict import Check, combine
from ci.record.controller import liveness
from ci.record.disk import RESERVE, RESERVE_BYTES, make_folder
from ci.record.start import start
from ci.record.stored import read_run
from ci.report.console import Plain
from ci.report.reports import RENDERERS, write_reports
from ci.report.screen import SafeStream
from ci.tools.model import Item, Measurement, Result

PASSED = combine((Check("smoke", "answers", 1.0, "", None, "", None, "pass"),))
ASKED = {
    "case": "local",
    "config": "configs/cases/local.yaml",
    "argv": ["inv", "nightly", "--config", "a b.yaml"],
}
SLEEPER = """
import sys
from pathlib import Path
from ci.record.start import start
from ci.report.console import Plain
from ci.report.reports import write_reports
from ci.report.screen import SafeStream
record = start(
    Path(sys.argv[1]), Plain(SafeStream(sys.stderr)), write_reports,
    case="local", config="c.yaml", argv=["inv"],
)
with record.step("wait to be killed"):
    print(record.path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def shown():
    return StringIO()


@pytest.fixture
def record(tmp_path, shown, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    return start(tmp_path / "runs", Plain(SafeStream(shown)), write_reports, **ASKED)


def read(record, name="run.json"):
    return json.loads((record.path / name).read_text(encoding="utf-8"))


def journal(record):
    return [json.loads(line) for line in (record.path / "journal.jsonl").read_text().splitlines()]


def names(folder):
    return {path.name for path in folder.iterdir()}


def test_the_record_says_running_from_the_first_second(record):
    run = read(record)
    assert run["outcome"] == "running"
    assert run["exit_code"] is None
    assert run["id"] == record.path.name
    assert run["command"] == "inv nightly --config 'a b.yaml'"
    assert run["controller"]["pid"] == os.getpid()
    assert run["versions"]["python"]
    assert liveness(read_run(record.path).run) == "running"
    assert (record.path / RESERVE).stat().st_size == RESERVE_BYTES


REPORTS = (
    "report.md",
    "junit.xml",
    "figures.csv",
    "report.html",
    "report.json",
    "trace.json",
    "dashboard.json",
)


def test_a_passed_night_is_whole(record, shown, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    figures = (Measurement("words", "accuracy", 55.0, "%", 40, "items.jsonl", "summary.csv"),)
    with record.step("plan"):
        record.write_plan({"processes": [{"env": {"HF_TOKEN": "hf_very_secret", "A": "b"}}]})
    with record.step("evaluate", "tool") as step:
        record.note("asking with hf_very_secret", "evaluate")
        record.evaluated("words", "aisbench", Result(figures, (Item("1"),)), "i.jsonl", "raw")
        step.detail = "55 %"
    record.update(versions={"vllm": "0.32.0"})
    assert record.finish(PASSED) == 0
    run = read(record)
    assert (run["outcome"], run["exit_code"], run["cause"]) == ("pass", 0, None)
    assert liveness(read_run(record.path).run) == "ended"
    assert run["versions"].keys() >= {"vllm", "lamplighter", "python", "kernel", "cpu"}
    assert [step["outcome"] for step in run["steps"]] == ["ok", "ok"]
    assert run["evaluations"][0]["measurements"][0]["value"] == 55.0
    assert run["overhead_s"] + run["tool_s"] == pytest.approx(run["seconds"], abs=0.01)
    assert names(record.path) == {
        "run.json",
        "plan.json",
        "journal.jsonl",
        *REPORTS,
    }
    assert summary.read_text() == (record.path / "report.md").read_text() + "\n"
    assert len(JUnitXml.fromfile(str(record.path / "junit.xml"))) == 1
    assert [(line["step"], line["event"]) for line in journal(record)] == [
        ("plan", "start"),
        ("plan", "end"),
        ("evaluate", "start"),
        ("evaluate", "note"),
        ("evaluate", "end"),
    ]
    everything = "".join(path.read_text() for path in record.path.iterdir())
    assert "hf_very_secret" not in everything
    assert "done   evaluate" in shown.getvalue()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ProcessDied("server-0", "out of memory", ("last", "words")), 3),
        (Interrupted("interrupted by SIGTERM"), 130),
        (KeyboardInterrupt(), 130),
        (UserError("no such folder"), 2),
        (ZeroDivisionError("a bug"), 3),
    ],
)
def test_every_exception_completes_the_record(record, error, code):
    with pytest.raises(type(error)), record, record.step("start"):
        raise error
    run = read(record)
    assert (run["outcome"], run["exit_code"]) == ("unknown", code)
    assert run["cause"]["kind"] == type(error).__name__
    assert run["steps"][0]["outcome"] == "failed"
    assert (record.path / "report.md").exists()


def test_leaving_without_a_verdict_is_unknown(record):
    with record:
        pass
    assert read(record)["exit_code"] == 3


def test_a_pass_with_a_cause_is_unknown_and_the_first_word_counts(record):
    assert record.finish(PASSED, ProcessDied("server-0", "died while it was stopped")) == 3
    assert read(record)["outcome"] == "unknown"
    assert record.finish(PASSED) == 3


def test_a_field_that_nobody_knows_is_refused(record):
    with pytest.raises(KeyError):
        record.update(versoins={})


def test_a_value_that_the_record_cannot_hold_is_refused_and_changes_nothing(record):
    record.update(survivors=["server-0"])
    with pytest.raises(ValueError, match=r"evaluations\.0\.benchmark: Field required"):
        record.update(evaluations=[{"not": "an evaluation"}], survivors=[])
    assert read(record)["survivors"] == ["server-0"]
    assert record.finish(PASSED) == 0
    assert read_run(record.path).run.checks == PASSED.checks


def test_checks_that_the_record_cannot_hold_do_not_hide_the_outcome(record, shown):
    (check,) = PASSED.checks
    assert record.finish(replace(PASSED, checks=(replace(check, value="eight"),))) == 0
    assert "cannot record the checks" in shown.getvalue()
    assert (read(record)["outcome"], read(record)["checks"]) == ("pass", [])


def test_a_report_that_cannot_be_made_hides_nothing(record, shown, monkeypatch):
    def broken(_):
        raise KeyError("template")

    monkeypatch.setitem(RENDERERS, "report.md", broken)
    assert record.finish(PASSED) == 0
    assert "cannot make report.md" in shown.getvalue()
    assert read(record)["outcome"] == "pass"
    assert (record.path / "junit.xml").exists()


def test_a_summary_is_told_of_a_run_whose_report_could_not_be_written(
    record, tmp_path, monkeypatch
):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (record.path / "report.md").mkdir()
    assert record.finish(PASSED) == 0
    assert (tmp_path / "summary.md").read_text().startswith("# PASS")


def test_a_summary_that_cannot_be_written_hides_nothing(record, shown, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert record.finish(PASSED) == 0
    assert "cannot append to $GITHUB_STEP_SUMMARY: " in shown.getvalue()


def test_bytes_that_are_no_text_do_not_end_the_night(tmp_path, shown):
    asked = ASKED | {"argv": ["inv", "nightly", "--config", "\udcff.yaml"]}
    record = start(tmp_path / "runs", Plain(SafeStream(shown)), write_reports, **asked)
    assert record.finish(PASSED) == 0
    assert "\\udcff.yaml" in read_run(record.path).run.command


def test_runs_that_is_a_file_is_the_operators_mistake(tmp_path, shown):
    (tmp_path / "runs").write_text("")
    with pytest.raises(UserError, match=r"cannot make .* choose another folder"):
        start(tmp_path / "runs", Plain(SafeStream(shown)), write_reports, **ASKED)


def test_a_name_that_is_taken_is_refused_and_left_alone(tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "run.json").write_text("{}")
    with pytest.raises(UserError, match="File exists"):
        make_folder(tmp_path / "taken")
    assert names(tmp_path / "taken") == {"run.json"}


def test_kill_9_leaves_a_record_that_is_seen_to_be_abandoned(tmp_path):
    sleeper = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path / "runs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with sleeper:
        try:
            path = Path(sleeper.stdout.readline().strip())
            run = read_run(path).run
            assert liveness(run) == "running"
        finally:
            sleeper.send_signal(signal.SIGKILL)
        # A zombie first: nobody has waited for it yet.
        os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
        assert liveness(run) == "abandoned"
    assert liveness(run) == "abandoned"
    for changed, expected in (("boot_id", "abandoned"), ("host", "elsewhere")):
        controller = run.controller.model_copy(update={changed: "another"})
        assert liveness(run.model_copy(update={"controller": controller})) == expected


# A full disk -----------------------------------------------------------------------------------


@contextmanager
def tmpfs(path, size):
    """Mount a real, tiny file system; nothing else fills up."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


def fill(path):
    """Write until not one more byte fits."""
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        file.writelines(repeat(b"x" * 4096))


@pytest.mark.usefixtures("as_root")
def test_a_full_disk_does_not_end_the_night_and_the_record_says_so(tmp_path, shown, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    with tmpfs(tmp_path / "runs", "256k") as runs:
        record = start(runs, Plain(SafeStream(shown)), write_reports, **ASKED)
        with record.step("before"):
            pass
        fill(runs / "logs")
        for number in range(40):
            with record.step(f"during {number}", "tool") as step:
                step.detail = "x" * 100
        assert "running" in (record.path / "run.json").read_text()
        assert shown.getvalue().count("WARN") == 1
        assert "No space left on device; the night goes on; free some space" in shown.getvalue()

        assert record.finish(PASSED) == 0

        run = read(record)
        assert run["outcome"] == "pass"
        assert "No space left on device" in run["record_failure"]
        assert len(run["steps"]) == 41
        assert len(journal(record)) == 82
        assert "The record is incomplete" in (record.path / "report.md").read_text()
        # What has no room any more is only a page.
        assert names(record.path) >= {"run.json", "journal.jsonl", "report.md", "junit.xml"}


@pytest.mark.usefixtures("as_root")
def test_a_disk_that_is_full_from_the_start_is_told_before_anything_starts(tmp_path, shown):
    with tmpfs(tmp_path / "runs", "32k") as runs:
        fill(runs / "other")
        with pytest.raises(InfrastructureError, match=r"no space left .* free some"):
            start(runs, Plain(SafeStream(shown)), write_reports, **ASKED)
        assert [path.name for path in runs.rglob("*") if path.is_file()] == ["other"]


# A terminal ------------------------------------------------------------------------------------

ON_A_TERMINAL = """
import sys
from pathlib import Path
sys.path.append("tests/unit")
from sample_run import check, sample
from ci.report.open_view import open_view
run = sample(check("pass"))
with open_view(sys.stdout) as view:
    view.case("night-s6", 1, 2)
    view.step("start server-0")
    view.waiting("server-0", 3.0, lambda: {"server-0": "\\x1b[2Jloading [red]weights[/red]"})
    view.done("start server-0", 3.2, "ready")
    view.table(run)
    view.outcome(run, Path("runs/x/report.md"))
    view.cases([("night-s6", "PASS", "runs/x")])
"""


def on_a_terminal(env):
    """Run the view on a real pseudo-terminal; give the bytes that it drew."""
    controller, terminal = pty.openpty()
    command = [sys.executable, "-c", ON_A_TERMINAL]
    env = {"PATH": os.environ["PATH"], "COLUMNS": "80", "LINES": "24", "LC_ALL": "C.UTF-8", **env}
    drawn = b""
    with subprocess.Popen(command, stdout=terminal, stdin=terminal, env=env) as process:
        os.close(terminal)
        # EIO is how Linux says that the other side of the terminal is closed.
        with suppress(OSError):
            while chunk := os.read(controller, 65536):
                drawn += chunk
        os.close(controller)
    assert process.returncode == 0
    return drawn.decode()


def test_a_terminal_sees_colours_and_gets_its_cursor_back():
    drawn = on_a_terminal({"TERM": "xterm-256color"})
    assert "✓" in drawn
    assert "\x1b[32m" in drawn
    assert "\x1b[2J" not in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")
    assert "case night-s6 (1 of 2)" in drawn
    assert "report runs/x/report.md" in drawn
    assert "run folder" in drawn


@pytest.mark.parametrize(
    ("env", "live"),
    [
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, True),
        ({"TERM": "xterm-256color", "CI": "true"}, False),
        ({"TERM": "dumb"}, False),
    ],
)
def test_no_colour_where_it_is_not_wanted(env, live):
    drawn = on_a_terminal(env)
    assert "\x1b[32m" not in drawn
    assert ("✓" in drawn) == live
    assert ("done   start server-0 (3.2 s): ready" in drawn) != live


def test_a_reader_that_leaves_does_not_end_the_night():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        view = Plain(SafeStream(stream))
        view.step("start server-0")
        view.done("start server-0", 1.0)
        view.close()
        # What the stream could not get rid of would be tried again when it is closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)
