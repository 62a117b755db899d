"""Whole nights through the command line, with a light real server in vLLM's place."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest
from hosts_here import assert_given_back, look_here, until

from ci.record.again import judged_again
from ci.record.stored import read_run
from ci.remote.supervise.proc import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

SECRET = "do-not-tell-anyone"  # noqa: S105 - made up, to be looked for


def test_a_case_without_benchmarks_is_proved_by_the_smoke_probe(
    begin: Callable[..., Night], workspace: Path
):
    night = begin()
    assert night.finish() == 0
    assert night.record["outcome"] == "pass"
    assert [check["name"] for check in night.record["checks"]] == [
        "smoke completion",
        "smoke chat",
    ]
    for text in (night.output, night.report):
        assert "all within tolerance (smoke only: the case has no benchmarks)" in text
    assert "light server is up" in night.log("localhost", "server-0")
    assert night.record["versions"]["vllm served"] == "0.0.0-light"
    assert night.record["survivors"] == []
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks
    assert not [*workspace.glob(f".lamplighter/*/{night.folder.name}")]


NAMES = ("acc+cot", "a+b", "éval", "lease", "inputs", "server-0", "数学" * 49, "perf")


def test_whatever_a_benchmark_is_called_it_runs(begin: Callable[..., Night], tmp_path: Path):
    """Its tool fails: that it was started, and where its output lies, is what counts here."""
    tool = tmp_path / "bin" / "vllm"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho asked with $#; exit 1\n")
    tool.chmod(0o755)
    entry = {"case_type": "performance", "tool": "vllm_bench", "dataset_path": "gsm8k"}
    entry |= {"num_prompts": 1, "max_out_len": 8, "batch_size": 1, "model_path": str(tmp_path)}
    keys = {"benchmarks": dict.fromkeys(NAMES, entry)}
    night = begin(keys=keys, PATH=f"{tool.parent}:{os.environ['PATH']}")
    assert night.finish() == 3
    assert night.record["cause"] is None
    assert [entry["benchmark"] for entry in night.record["evaluations"]] == list(NAMES)
    assert [check["name"] for check in night.record["checks"]][2:] == list(NAMES)
    for evaluation in night.record["evaluations"]:
        items = night.folder / evaluation["items"]
        assert items.is_file()
        log = night.folder / "logs" / "localhost" / f"{items.parent.name}.log"
        assert log.read_text().startswith("asked with ")
    assert "light server is up" in night.log("localhost", "server-0")


def test_a_secret_of_the_case_is_nowhere_in_the_record(begin: Callable[..., Night], free_port: int):
    night = begin(keys={"env_common": {"SERVER_PORT": free_port, "API_TOKEN": SECRET}})
    assert night.finish() == 0
    texts = [path.read_bytes() for path in night.folder.rglob("*") if path.is_file()]
    assert texts
    assert not [text for text in texts if SECRET.encode() in text]
    assert SECRET not in night.output


def test_a_server_that_exits_ends_the_night_with_its_reason(begin: Callable[..., Night]):
    night = begin("crash")
    assert night.finish() == 3
    cause = night.record["cause"]
    assert (cause["kind"], cause["process"]) == ("ProcessDied", "server-0")
    assert "the light server does not like this" in "".join(cause["tail"])
    assert night.record["outcome"] == "unknown"
    assert "the light server does not like this" in night.report


def test_the_first_cause_is_found_in_the_whole_log_and_reported_everywhere(
    begin: Callable[..., Night],
):
    night = begin("wordy")
    assert night.finish() == 3
    explanation = night.record["explanation"]
    assert (explanation["kind"], explanation["side"]) == ("missing_library", "configuration")
    assert (explanation["process"], explanation["host"]) == ("server-0", "localhost")
    assert explanation["line"].startswith("OSError: libatb.so: cannot open shared object file")
    assert "env_script" in explanation["next_step"]
    for text in (night.output, (night.folder / "report.md").read_text()):
        assert "libatb.so: cannot open shared object file" in text
        assert "env\\_script" in text or "env_script" in text
    assert "CANN or NNAL is missing: libatb.so" in night.record["cause"]["message"]


def test_sigkill_is_reported_with_what_the_host_shows_of_its_memory(begin: Callable[..., Night]):
    night = begin("killed")
    assert night.finish() == 3
    message = night.record["cause"]["message"]
    assert "killed with SIGKILL, which this run did not send" in message
    assert "memory" in message
    assert "GiB are available" in message or "killed process" in message


@pytest.mark.parametrize(("manner", "seen"), [("busy", "503"), ("mute", "a completion")])
def test_a_server_that_is_not_ready_is_waited_for_no_longer_than_the_case_says(
    begin: Callable[..., Night], manner: str, seen: str
):
    # Long enough for the server to answer at all, on any machine.
    night = begin(manner, {"ready_timeout_s": 10})
    assert night.finish() == 3
    assert night.record["cause"]["kind"] == "NotReady"
    assert seen in night.record["cause"]["message"]


def test_a_process_that_stays_makes_a_good_night_unknown(
    begin: Callable[..., Night], workspace: Path
):
    """It has the marker of the run and a state file, but no supervisor of the run ends it."""
    night = begin()
    night.await_step("connect to the hosts")
    run = night.folder.name
    until(lambda: [*workspace.glob(f".lamplighter/*/{run}")])
    state = {"run": run, "process": "ghost", "state": "running", "complete": False}
    ghost = subprocess.Popen(["sleep", "600"], env={**os.environ, MARKER: f"{run}/ghost"})
    try:
        (there,) = workspace.glob(f".lamplighter/*/{run}")
        (there / "ghost").mkdir()
        (there / "ghost" / "state.json").write_text(json.dumps(state))
        assert night.finish() == 3
        assert ghost.poll() is None
    finally:
        ghost.kill()
        ghost.wait()
    record = night.record
    assert record["survivors"] == ["localhost: ghost"]
    assert "still running: localhost: ghost" in record["cause"]["message"]
    assert f"inv down --run {run}" in record["cause"]["message"]
    assert record["outcome"] == "unknown"
    assert {check["name"]: check["outcome"] for check in record["checks"]}["smoke chat"] == "pass"


def test_a_port_that_somebody_else_has_is_named_before_anything_starts(
    begin: Callable[..., Night], free_port: int
):
    with socket.create_server(("127.0.0.1", free_port)):
        night = begin()
        assert night.finish() == 3
    message = night.record["cause"]["message"]
    assert f"port {free_port}" in message
    assert str(os.getpid()) in message
    assert not (night.folder / "logs").exists()


def test_ctrl_c_gives_the_host_back_and_completes_the_record(begin: Callable[..., Night]):
    night = begin("busy")
    night.await_step("start the server")
    night.interrupt()
    assert night.finish() == 130
    assert night.record["exit_code"] == 130
    assert night.record["ended_at"]
    assert "SIGINT" in night.record["cause"]["message"]
    assert (night.folder / "report.md").exists()
    assert (night.folder / "junit.xml").exists()


def test_ctrl_c_during_an_evaluation_says_that_it_was_not_finished(
    begin: Callable[..., Night], tmp_path: Path
):
    tool = tmp_path / "bin" / "vllm"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\nexec sleep 600\n")
    tool.chmod(0o755)
    entry = {"case_type": "performance", "tool": "vllm_bench", "dataset_path": "gsm8k"}
    entry |= {"num_prompts": 1, "max_out_len": 8, "batch_size": 1, "model_path": str(tmp_path)}
    night = begin(
        keys={"benchmarks": {"first": entry, "second": entry}},
        PATH=f"{tool.parent}:{os.environ['PATH']}",
    )
    night.await_step("evaluate first")
    night.interrupt()
    assert night.finish() == 130
    reasons = {check["name"]: check["reason"] for check in night.record["checks"]}
    assert reasons["first"] == "not finished: interrupted by SIGINT"
    assert reasons["second"] == "never reached: interrupted by SIGINT"
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks


def test_ctrl_c_while_the_hosts_are_handed_back_begins_no_further_night(
    begin: Callable[..., Night],
):
    keys = {"ready_timeout_s": "${sweep.s}", "sweep": {"s": [600, 601]}}
    night = begin("tough", keys)
    night.await_step("hand the hosts back")
    night.interrupt()
    assert night.finish() == 130
    assert night.record["outcome"] == "pass"  # it had been proved by then
    assert night.record["exit_code"] == 130
    assert night.record["survivors"] == []
    for text in (night.output, night.report):
        assert "INTERRUPTED, PASS: 2 checks" in text
    lines = [line.split() for line in night.output.splitlines()]
    assert lines[0] == ["case", "case-s600", "(1", "of", "2)"]
    assert ["note", "not", "run:", "case-s601"] in lines
    assert lines[-2:] == [
        ["case", "outcome", "run", "folder"],
        ["case-s600", "INTERRUPTED,", "PASS", str(night.folder)],
    ]


def test_ctrl_c_again_and_again_still_gives_the_host_back(begin: Callable[..., Night]):
    night = begin("busy")
    night.await_step("start the server")
    while night.process.poll() is None:
        night.interrupt()
        threading.Event().wait(0.02)
    assert night.finish() == 130
    assert night.record["survivors"] == []


def test_a_second_ctrl_c_leaves_on_the_host_what_takes_long_to_copy(
    begin: Callable[..., Night], workspace: Path
):
    night = begin("busy")
    night.await_step("start the server")
    logs = f".lamplighter/*/{night.folder.name}/server-0/log"
    until(lambda: [*workspace.glob(logs)])
    (log,) = workspace.glob(logs)
    os.truncate(log, 15 << 30)  # holes, which take minutes
    night.interrupt()
    until(lambda: list(night.folder.glob("logs/*/server-0.part")))
    night.interrupt()
    assert night.finish() == 130
    assert night.record["survivors"] == []
    note = night.notes.partition("could not be fetched")[2]
    assert "the copy was stopped before its end" in note
    assert f"lies in {log.parents[1]}/ on localhost: `inv down --run {night.folder.name}`" in note
    assert log.stat().st_size >= 15 << 30


def test_after_kill_9_of_the_controller_the_lease_ends_the_server(
    begin: Callable[..., Night], workspace: Path
):
    night = begin("busy")
    night.await_step("start the server")
    until(lambda: len([r for r in look_here(workspace).processes if r["alive"]]) == 2)
    night.process.kill()
    night.finish()
    assert night.record["outcome"] == "running"
    assert_given_back(workspace)


def test_a_second_night_is_told_who_has_the_host(begin: Callable[..., Night]):
    first = begin("busy")
    first.await_step("start the server")
    second = begin()
    assert second.finish() == 3
    cause = second.record["cause"]
    assert cause["kind"] == "HostBusy"
    assert first.folder.name in cause["message"]
    assert first.process.poll() is None


def test_a_full_disk_in_runs_leaves_nothing_running_and_says_so(
    begin: Callable[..., Night], tiny_disk: Path
):
    night = begin("busy", runs=tiny_disk / "runs")
    night.await_step("start the server")
    with pytest.raises(OSError, match="space"):
        fill(tiny_disk)
    night.interrupt()
    assert night.finish() == 130
    assert night.record["outcome"] == "unknown"
    assert "No space left" in night.record["record_failure"]


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


def test_a_bad_case_is_told_with_its_place_and_nothing_starts(start_night: Callable[..., Night]):
    night = start_night("model: x\nnum_nodes: 1\nnpu_per_nodes: 1\n")
    assert night.finish() == 2
    assert f"{night.case}:3:1: npu_per_nodes" in night.output
    assert "Traceback" not in night.output
    assert not night.runs.exists()
