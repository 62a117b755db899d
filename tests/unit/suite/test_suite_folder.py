"""Test what a suite's controller keeps on disk: its state, its lock, orders, and the quarantine."""

import json
import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from suite_runs import night, quarantine, setting, suite_run

from ci.errors import UserError
from ci.inventory.target import Accelerator, Target
from ci.request import Request
from ci.suite.next_orders import Begin
from ci.suite.quarantined import read_quarantine
from ci.suite_run.folder import (
    SuiteFolder,
    is_running,
    locked,
    named_suite_run,
    read_suite,
    suite_runs,
)
from ci.suite_run.order import read_order, request_of, write_order
from ci.suite_run.process import LOCK, OUTPUT, NightProcess
from ci.suite_run.quarantine import address_of, put, quarantined_of, release


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "runs" / "20261127-220000-suite-s-1a2b"
    path.mkdir(parents=True)
    return SuiteFolder(path, pytest.fail)


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path / "workspace"))


def test_the_state_is_read_as_it_was_written(folder):
    run = suite_run(night("a"), night("b", muted=True), quarantined=(quarantine("h1"),))
    folder.save(run)
    assert read_suite(folder.path) == run


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read"),
        ('{"schema": 99}', "expected schema 1, got 99"),
        ("[]", "expected schema 1, got None"),
        ('{"schema": 1}', "id: Field required"),
    ],
)
def test_a_state_that_cannot_be_read(folder, text, message):
    (folder.path / "suite.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_suite(folder.path)


def test_runs_of_suites_are_found_by_name_and_the_newest_first(folder):
    runs = folder.path.parent
    with pytest.raises(UserError, match="no run of a suite in"):
        named_suite_run(runs, "")
    older = SuiteFolder(runs / "20261126-220000-suite-s-1a2b", pytest.fail)
    older.path.mkdir()
    (runs / "20261128-220000-a-night-1a2b").mkdir()
    for each in (folder, older):
        each.save(suite_run(night("a")))
    assert suite_runs(runs) == [folder.path, older.path]
    assert named_suite_run(runs, "") == folder.path
    assert named_suite_run(runs, "last") == folder.path
    assert named_suite_run(runs, older.path.name) == older.path
    assert named_suite_run(runs, older.path.name[:-1]) == older.path
    assert named_suite_run(runs, str(older.path)) == older.path
    with pytest.raises(UserError, match=f"the newest: {folder.path.name}"):
        named_suite_run(runs, "other")


def test_one_controller_at_a_time(folder):
    assert not is_running(folder.path)
    with locked(folder.path):
        assert is_running(folder.path)
        with pytest.raises(UserError, match="is running"), locked(folder.path):
            pass
    assert not is_running(folder.path)


def test_a_process_is_known_by_its_lock(folder):
    own = folder.process_folder("a night/of many")
    assert own.name == "a-night-of-many"
    assert not NightProcess(own).is_alive()
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX);"
        "print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(own / LOCK)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        assert NightProcess(own).is_alive()
        other.stdin.close()
        assert NightProcess(own).wait() is None
    assert not NightProcess(own).is_alive()


@pytest.mark.parametrize(
    ("output", "doing"),
    [
        ("", ""),
        (
            "start  connect to the hosts\ndone   connect to the hosts (1 s)\n",
            "connect to the hosts",
        ),
        ("start  serve\nwait   server-0: 30 s\n       server-0: a line\n", "server-0: 30 s"),
    ],
)
def test_what_a_night_does_is_read_from_its_output(folder, output, doing):
    own = folder.process_folder("a")
    (own / OUTPUT).write_text(output)
    assert NightProcess(own).doing == doing


def test_an_order_has_everything_and_only_its_owner_reads_it(tmp_path):
    here = setting("a")
    chosen = replace(
        here.nights["a"],
        vllm="0.1",
        settings=("env_common.HF_TOKEN=a-secret-1", "x=1"),
        benchmarks=("acc*",),
        functional_cases=("chat",),
        judge={"false_alarms_a_month": 0.5},
    )
    begin = Begin("a", ("h1", "h2"), {"h1": (2, 3), "h2": (0, 1)})
    targets = {each.name: each for each in here.targets}
    request = request_of(suite_run(night("a")), chosen, begin, "/runs", "id", targets)
    write_order(tmp_path / "order.json", request)
    assert stat.S_IMODE((tmp_path / "order.json").stat().st_mode) == 0o600
    assert read_order(tmp_path / "order.json") == request
    assert request.host_env == {
        "h1": {"CUDA_VISIBLE_DEVICES": "2,3"},
        "h2": {"CUDA_VISIBLE_DEVICES": "0,1"},
    }
    assert (request.run, request.beside, request.judge) == ("id", True, chosen.judge)
    words = ["inv", "nightly", "--config", "a.yaml", "--cluster", "c", "--on", "h1,h2"]
    words += ["--vllm", "0.1", "--runs", "/runs", "--stages", "accuracy", "--benchmarks", "acc*"]
    words += ["--functional-cases", "chat"]
    words += ["--run-type", "daily", "--suite-name", "s"]
    words += ["--set", "env_common.HF_TOKEN=a-secret-1", "--set", "x=1"]
    assert list(request.argv) == words


def test_a_night_without_stages_is_a_smoke_test():
    here = setting("a")
    night_ = replace(here.nights["a"], stages=(), functional="none")
    request = request_of(suite_run(night("a")), night_, Begin("a", ("h1",)), "runs", "id", {})
    assert (request.measure, request.beside, request.host_env) == (False, False, {})
    words = ["--functional", "none", "--stages", "functional"]
    assert list(request.argv)[-8:] == [*words, "--run-type", "daily", "--suite-name", "s"]


@pytest.mark.parametrize("text", ["", "{}x", '{"config": 1}', '{"no": 1}'])
def test_what_is_no_order(tmp_path, text):
    (tmp_path / "order.json").write_text(text)
    if text == '{"no": 1}':
        assert read_order(tmp_path / "order.json") == Request()
        return
    with pytest.raises(UserError, match="is not the order of a night"):
        read_order(tmp_path / "order.json")


def test_hosts_in_quarantine_are_known_by_their_address(workspace):
    assert read_quarantine() == ()
    here = Target("npu1", "10.0.0.1", port=2222, accelerator=Accelerator("ascend", 8))
    entry = quarantine("npu1").model_copy(update={"address": address_of(here)})
    put([entry])
    put([entry.model_copy(update={"reason": "later"}), quarantine("other")])
    assert [each.reason for each in read_quarantine()] == ["broken", "broken"]
    # The same machine has another name in another cluster file.
    (found,) = quarantined_of([replace(here, name="node-a"), Target("x", "10.0.0.9")])
    assert (found.host, found.address) == ("node-a", "10.0.0.1:2222")
    release([address_of(here)])
    assert [each.host for each in read_quarantine()] == ["other"]


def test_a_quarantine_that_cannot_be_read(workspace, tmp_path):
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "quarantine.json").write_text(json.dumps([{"host": 1}]))
    with pytest.raises(UserError, match="correct or remove it"):
        read_quarantine()
