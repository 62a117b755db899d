"""`inv report.index` and `inv report.serve` as an operator types them."""

from __future__ import annotations

import signal
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest
from night import INVOKE, inv
from stored_runs import evaluation, run_of, stored

from ci.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for night in range(3):
        stored(folder, run_of(night, evaluation(night)))
    return folder


def test_the_page_is_written_and_only_what_changed_is_made_again(runs: Path):
    where = ("--runs", str(runs))
    first = inv("report.index", *where)
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout.startswith(f"{runs / 'index.html'}: 3 nights of 1 case, 1 case made")
    assert "0 cases made" in inv("report.index", *where).stdout
    assert "1 case made" in inv("report.index", "--afresh", *where).stdout
    assert (runs / "index.html").stat().st_size < 100_000


def test_without_a_night_the_exit_code_is_2(tmp_path: Path):
    refused = inv("report.index", "--runs", str(tmp_path))
    assert refused.returncode == 2
    assert "`inv nightly` runs one" in refused.stderr


def test_the_reports_of_a_run_are_written_with_and_without_the_tasks_own_name(runs: Path):
    run = next(runs.glob("2026*")).name
    for words in (("report", run), ("report", "--run", run), ("report.write", "--run", run)):
        written = inv(*words, "--runs", str(runs))
        assert (written.returncode, written.stderr) == (0, "")
        assert f"report {runs / run / 'report.md'}" in written.stdout


def test_ctrl_c_ends_the_server_with_130(runs: Path):
    inv("report.index", "--runs", str(runs))
    argv = [*INVOKE, "report.serve", "--port", "0", "--runs", str(runs)]
    with subprocess.Popen(
        argv, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            line = process.stdout.readline()
            url = line.split()[0]
            assert line.endswith("for reading alone; Ctrl-C ends it\n")
            with urllib.request.urlopen(url, timeout=60) as answer:
                assert b"<h1>Nights</h1>" in answer.read()
            process.send_signal(signal.SIGINT)
            assert (process.wait(60), process.stderr.read()) == (130, "interrupted\n")
        finally:
            process.kill()


def test_a_port_that_is_none_is_refused(runs: Path):
    refused = inv("report.serve", "--runs", str(runs), "--port", "70000")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "expected 0 to 65535" in refused.stderr
