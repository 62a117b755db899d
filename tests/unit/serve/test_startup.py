"""Logs that came home → how the servers started, in the record and in its report."""

import shutil
from io import StringIO
from pathlib import Path

import pytest

from ci.judge.verdict import Verdict
from ci.record.start import start
from ci.record.stored import read_run
from ci.report.console import Plain
from ci.report.reports import write_reports
from ci.report.screen import SafeStream
from ci.serve.startup import note_startup, startups

LOGS = Path(__file__).parents[1]
CPU = LOGS / "explain" / "healthy" / "vllm_0.32.0_cpu.log"
CUDA = LOGS / "captured" / "vllm_logs" / "cuda_engine_killed.log"


@pytest.fixture
def record(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    view = Plain(SafeStream(StringIO()))
    return start(
        tmp_path / "runs", view, write_reports, case="local", config="c.yaml", argv=["inv"]
    )


def bring_home(logs, **by_path):
    for name, log in by_path.items():
        host, process = name.split("__")
        (logs / host).mkdir(parents=True, exist_ok=True)
        shutil.copy(log, logs / host / f"{process}.log")


def test_the_record_and_the_report_tell_how_the_servers_started(record):
    bring_home(record.path / "logs", a__server=CPU, b__server=CUDA)
    (record.path / "logs" / "b" / "perf.log").write_text("no server's\n")
    note_startup(record)
    record.finish(Verdict("unknown", ()))
    run = read_run(record.path).run
    assert [(each.host, each.process) for each in run.startup] == [("a", "server"), ("b", "server")]
    assert run.startup[0].seconds == {"weights": 0.54, "engine_init": 1.27, "api": 109.0}
    figures = {each.metric: (each.value, each.unit, each.n) for each in run.startup_figures}
    assert figures == {
        "startup_weights_s": (0.54, "s", 2),
        "startup_model_load_s": (1.667017, "s", 2),
        "startup_engine_init_s": (17.37, "s", 2),
        "startup_api_s": (109.0, "s", 2),
    }
    report = (record.path / "report.md").read_text("utf-8")
    assert "| server | host | weights | model load | engine init | first line to API |" in report
    assert "| server | a | 0.5 s | - | 1.3 s | 1 min 49 s |" in report
    assert "| server | b | - | 1.7 s | 17.4 s | 45.0 s |" in report


def test_a_night_without_such_logs_has_no_table(record):
    note_startup(record)
    record.finish(Verdict("unknown", ()))
    assert read_run(record.path).run.startup == ()
    assert "Start-up" not in (record.path / "report.md").read_text("utf-8")


def test_the_start_is_in_a_log_that_was_rotated_away(tmp_path):
    bring_home(tmp_path, a__server=CUDA)
    (tmp_path / "a" / "server.log").rename(tmp_path / "a" / "server.rotated-1.log")
    (tmp_path / "a" / "server.log").write_text("what came later\n")
    (tmp_path / "a" / "link.log").symlink_to(CPU)
    assert [(each.process, each.host) for each in startups(tmp_path)] == [("server", "a")]
