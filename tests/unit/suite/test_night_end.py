"""Test how a night ends whose process was not started, or left no record."""

import io
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from suite_runs import ended, night, setting, suite_run

from ci.errors import UserError
from ci.report.screen import SafeStream
from ci.run.interrupt import Interrupts
from ci.suite.events import Ended
from ci.suite.resume import left_to_run
from ci.suite_run import run as running
from ci.suite_run.ended import end_of
from ci.suite_run.folder import SuiteFolder, read_suite
from ci.suite_run.process import NightProcess
from ci.suite_run.quarantine import read_quarantine
from ci.suite_run.run import RunningSuite
from ci.suite_run.screen import PlainSuite


def end_without_record(folder, code, output=""):
    (folder / "output").write_text(output)
    started = subprocess.Popen([sys.executable, "-c", code])
    process = NightProcess(folder, started)
    return end_of(process, folder / "no-run", ("h1",), ("down",), pytest.fail)


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", ""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", ""),
        ("raise SystemExit(1)", "Traceback (most recent call last):\nKeyboardInterrupt\n"),
        ("raise SystemExit(130)", "interrupted\n"),
    ],
)
def test_a_signal_before_a_night_has_begun_is_no_failure(tmp_path, code, output):
    end = end_without_record(tmp_path, code, output)
    assert (end.outcome, end.exit_code, end.reasons) == ("unknown", 130, ())
    assert end.cause == "interrupted before it had begun anything"


def test_a_night_that_is_killed_before_it_has_begun_may_be_run_again(tmp_path):
    """As by the kernel, where the machine has no memory left."""
    end = end_without_record(tmp_path, "import os; os.kill(os.getpid(), 9)")
    assert (end.outcome, end.exit_code) == ("unknown", 3)
    assert end.reasons == ("controller_died", "environment")
    assert end.cause == "its process was killed by signal 9 before it had begun anything"


def test_a_night_that_left_nothing_may_be_run_again(tmp_path):
    """As on a full disk."""
    end = end_without_record(tmp_path, "raise SystemExit(3)")
    assert end.reasons == ("controller_died", "environment")
    assert end.cause.startswith("it left neither a record nor output, as on a full disk: ")


def test_a_mistake_before_a_night_has_begun(tmp_path):
    end = end_without_record(tmp_path, "raise SystemExit(2)", "x.yaml:1:1: bad\n")
    assert (end.outcome, end.exit_code, end.cause) == ("unknown", 2, "x.yaml:1:1: bad")


@pytest.fixture
def suite(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))
    here = setting("a", "b", "c", "d", hosts=2)
    nights = {
        name: replace(each, case=SimpleNamespace(name=name)) for name, each in here.nights.items()
    }
    view = PlainSuite(SafeStream(io.StringIO()))
    state = suite_run(*(ended(each, "pass") for each in "cd"), cluster=str(tmp_path))
    waiting = suite_run(*(night(each) for each in "ab")).nights
    state = state.model_copy(update={"nights": (*waiting, *state.nights)})
    folder = SuiteFolder(tmp_path / "suite", pytest.fail)
    return RunningSuite(state, replace(here, nights=nights), tmp_path, folder, view)


def test_a_night_that_cannot_be_started_ends_and_the_suite_goes_on(suite, monkeypatch):
    """As on a full disk, or with too many processes: once more, and a resume takes it up."""
    tried = []

    def refuse(folder, request):
        tried.append(folder.name)
        raise UserError(f"{folder}: the night cannot be started: No space left on device")

    monkeypatch.setattr(running, "start_night", refuse)
    done = suite.run_all(Interrupts())
    assert (done.outcome, done.exit_code, len(tried)) == ("unknown", 3, 4)
    assert "No space left on device" in done.night("a").attempts[-1].cause
    assert left_to_run(read_suite(suite.folder.path)) == ("a", "b")


@pytest.mark.parametrize(("reason", "of_all"), [("host_busy", []), ("host_lost", ["h1", "h2"])])
def test_a_host_that_another_run_holds_is_fit_for_other_suites(suite, monkeypatch, reason, of_all):
    def end(process, folder, hosts, down, warn):
        why = dict.fromkeys(hosts, "it is so")
        reasons = (reason, "environment")
        return Ended("2026-11-27T22:00:00Z", "unknown", 3, "", "it is so", reasons, why)

    monkeypatch.setattr(running, "start_night", lambda folder, _: NightProcess(folder))
    monkeypatch.setattr(running, "end_of", end)
    done = suite.run_all(Interrupts())
    assert [each.host for each in done.quarantined] == ["h1", "h2"]
    assert sorted(each.host for each in read_quarantine()) == of_all


@pytest.mark.parametrize("gate", [False, True])
def test_a_canary_that_does_not_pass_is_said_at_once(suite, monkeypatch, gate):
    failed = Ended("2026-11-27T22:00:00Z", "fail", 1)
    monkeypatch.setattr(running, "start_night", lambda folder, _: NightProcess(folder))
    monkeypatch.setattr(running, "end_of", lambda *_: failed)
    nights = suite.setting.nights
    nights = {**nights, "a": replace(nights["a"], canary=True, gate=gate)}
    suite.setting = replace(suite.setting, nights=nights)
    canary = suite.run.night("a").model_copy(update={"canary": True})
    suite.run = suite.run.with_night(canary)
    done = suite.run_all(Interrupts())
    shown = suite.view._out._stream.getvalue()
    assert "WARN   the canary a failed: look at the machines first" in shown
    assert ("the other nights go on" in shown) == (not gate)
    assert (done.night("b").state == "left-out") == gate
