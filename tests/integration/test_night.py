"""Whole nights through the command line, with a light real server in vLLM's place."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back, held_port, look_here, until

from ci.record.again import judged_again
from ci.record.stored import read_run
from ci.remote.supervise.proc import MARKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
SERVER = Path(__file__).with_name("light_server.py")
PATIENCE_S = 600

CASE = """\
test_name: "a light night"
model: light
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
ready_timeout_s: {ready_timeout_s}
env_common: {{SERVER_PORT: {port}, API_TOKEN: {secret}}}
deployment:
  - server_cmd: "{python} {server} $SERVER_PORT {manner} --port $SERVER_PORT"
"""
SECRET = "do-not-tell-anyone"  # noqa: S105 - made up, to be looked for


@dataclass
class Night:
    """A night under way: its process, and the folders that it works in."""

    process: subprocess.Popen[str]
    runs: Path
    workspace: Path

    def finish(self) -> int:
        self.output, _ = self.process.communicate(timeout=PATIENCE_S)
        print(self.output)
        return self.process.returncode

    @property
    def run(self) -> Path:
        (folder,) = self.runs.iterdir()
        return folder

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.run / "run.json").read_text())

    def step_is(self, name: str) -> bool:
        journal = next(self.runs.glob("*/journal.jsonl"), None)
        return journal is not None and f'"{name}' in journal.read_text()


@pytest.fixture
def free_port() -> Iterator[int]:
    with held_port() as port:
        yield port


@pytest.fixture
def begin(tmp_path: Path, free_port: int) -> Iterator[Callable[..., Night]]:
    """Start nights in a workspace of the test's own; afterwards nothing of them is left."""
    nights: list[Night] = []
    workspace = tmp_path / "workspace"

    def start(
        manner: str = "good",
        *,
        ready_timeout_s: int | str = 600,
        runs: Path | None = None,
        further: str = "",
        path: str = "",
    ) -> Night:
        case = tmp_path / f"{manner}.yaml"
        case.write_text(
            CASE.format(
                python=sys.executable,
                server=SERVER,
                port=free_port,
                manner=manner,
                ready_timeout_s=ready_timeout_s,
                secret=SECRET,
            )
            + further,
        )
        folder = runs or tmp_path / f"runs-{len(nights)}"
        argv = [sys.executable, "-m", "invoke", "nightly", "--config", str(case)]
        argv += ["--runs", str(folder), "--workspace", str(workspace)]
        process = subprocess.Popen(
            argv,
            cwd=PROJECT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CI": "true", "PATH": f"{path}:{os.environ['PATH']}".lstrip(":")},
        )
        night = Night(process, folder, workspace)
        nights.append(night)
        return night

    yield start
    for night in nights:
        if night.process.poll() is None:
            night.process.send_signal(signal.SIGINT)
            night.finish()
        if night.process.stdout:
            night.process.stdout.close()
    assert_given_back(workspace)


def test_a_case_without_benchmarks_is_proved_by_the_smoke_probe(begin: Callable[..., Night]):
    night = begin()
    assert night.finish() == 0
    assert night.record["outcome"] == "pass"
    assert [check["name"] for check in night.record["checks"]] == [
        "smoke completion",
        "smoke chat",
    ]
    assert "smoke only" in (night.run / "report.md").read_text().lower()
    assert "light server is up" in (night.run / "logs/localhost/server-0.log").read_text()
    assert night.record["versions"]["vllm served"] == "0.0.0-light"
    assert night.record["survivors"] == []
    stored = read_run(night.run)
    assert judged_again(stored).checks == stored.run.checks
    assert not (night.workspace / ".lamplighter" / night.run.name).exists()


NAMES = ("acc+cot", "a+b", "éval", "lease", "inputs", "server-0", "数学" * 49, "perf")


def test_whatever_a_benchmark_is_called_it_runs(begin: Callable[..., Night], tmp_path: Path):
    """Its tool fails: that it was started, and where its output lies, is what counts here."""
    tool = tmp_path / "bin" / "vllm"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho asked with $#; exit 1\n")
    tool.chmod(0o755)
    entry = "{case_type: performance, tool: vllm_bench, dataset_path: gsm8k, num_prompts: 1, "
    entry += "max_out_len: 8, batch_size: 1}"
    further = "benchmarks:\n" + "".join(f"  {name}: {entry}\n" for name in NAMES)
    night = begin(further=further, path=str(tool.parent))
    assert night.finish() == 3
    assert night.record["cause"] is None
    assert [one["benchmark"] for one in night.record["evaluations"]] == list(NAMES)
    assert [check["name"] for check in night.record["checks"]][2:] == list(NAMES)
    for evaluation in night.record["evaluations"]:
        items = night.run / evaluation["items"]
        assert items.is_file()
        log = night.run / "logs" / "localhost" / f"{items.parent.name}.log"
        assert log.read_text().startswith("asked with ")
    assert "light server is up" in (night.run / "logs/localhost/server-0.log").read_text()


def test_a_secret_of_the_case_is_nowhere_in_the_record(begin: Callable[..., Night]):
    night = begin()
    assert night.finish() == 0
    texts = [path.read_bytes() for path in night.run.rglob("*") if path.is_file()]
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
    assert "the light server does not like this" in (night.run / "report.md").read_text()


@pytest.mark.parametrize(("manner", "seen"), [("busy", "503"), ("mute", "a completion")])
def test_a_server_that_is_not_ready_is_waited_for_no_longer_than_the_case_says(
    begin: Callable[..., Night], manner: str, seen: str
):
    # Long enough for the server to answer at all, on any machine.
    night = begin(manner, ready_timeout_s=10)
    assert night.finish() == 3
    assert night.record["cause"]["kind"] == "NotReady"
    assert seen in night.record["cause"]["message"]


def test_a_process_that_stays_makes_a_good_night_unknown(begin: Callable[..., Night]):
    """It has the marker of the run and a state file, but no supervisor of the run ends it."""
    night = begin()
    until(lambda: night.step_is("connect to the hosts"))
    run = night.run.name
    state = {"run": run, "process": "ghost", "state": "running", "complete": False}
    ghost = subprocess.Popen(["sleep", "600"], env={**os.environ, MARKER: f"{run}/ghost"})
    try:
        folder = night.workspace / ".lamplighter" / run / "ghost"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(json.dumps(state))
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
    assert not (night.run / "logs").exists()


def test_ctrl_c_gives_the_host_back_and_completes_the_record(begin: Callable[..., Night]):
    night = begin("busy")
    until(lambda: night.step_is("start the server"))
    night.process.send_signal(signal.SIGINT)
    assert night.finish() == 130
    assert night.record["exit_code"] == 130
    assert night.record["ended_at"]
    assert "SIGINT" in night.record["cause"]["message"]
    assert (night.run / "report.md").exists()
    assert (night.run / "junit.xml").exists()


def test_ctrl_c_while_the_hosts_are_handed_back_begins_no_further_night(
    begin: Callable[..., Night],
):
    night = begin("tough", ready_timeout_s="${sweep.s}", further="sweep: {s: [600, 601]}\n")
    until(lambda: night.step_is("hand the hosts back"))
    night.process.send_signal(signal.SIGINT)
    assert night.finish() == 130
    assert night.record["outcome"] == "pass"  # it had been proved by then
    assert night.record["survivors"] == []


def test_ctrl_c_again_and_again_still_gives_the_host_back(begin: Callable[..., Night]):
    night = begin("busy")
    until(lambda: night.step_is("start the server"))
    while night.process.poll() is None:
        night.process.send_signal(signal.SIGINT)
        threading.Event().wait(0.02)
    assert night.finish() == 130
    assert night.record["survivors"] == []


def test_after_kill_9_of_the_controller_the_lease_ends_the_server(begin: Callable[..., Night]):
    night = begin("busy")
    until(lambda: night.step_is("start the server"))
    until(lambda: len([r for r in look_here(night.workspace).processes if r["alive"]]) == 2)
    night.process.kill()
    night.finish()
    assert night.record["outcome"] == "running"
    assert_given_back(night.workspace)


def test_a_second_night_is_told_who_has_the_host(begin: Callable[..., Night]):
    first = begin("busy")
    until(lambda: first.step_is("start the server"))
    second = begin()
    assert second.finish() == 3
    cause = second.record["cause"]
    assert cause["kind"] == "HostBusy"
    assert first.run.name in cause["message"]
    assert first.process.poll() is None


def test_a_full_disk_in_runs_leaves_nothing_running_and_says_so(
    begin: Callable[..., Night], tiny_disk: Path
):
    night = begin("busy", runs=tiny_disk / "runs")
    until(lambda: night.step_is("start the server"))
    with pytest.raises(OSError, match="space"):
        fill(tiny_disk)
    night.process.send_signal(signal.SIGINT)
    assert night.finish() == 130
    assert night.record["outcome"] == "unknown"
    assert "No space left" in night.record["record_failure"]


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as filler:
        while True:
            filler.write(bytes(4096))


@pytest.fixture
def tiny_disk(as_root: None, tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_bad_case_is_told_with_its_place_and_nothing_starts(tmp_path: Path):
    case = tmp_path / "bad.yaml"
    case.write_text("model: x\nnum_nodes: 1\nnpu_per_nodes: 1\n")
    argv = [sys.executable, "-m", "invoke", "nightly", "--config", str(case)]
    argv += ["--runs", str(tmp_path / "runs"), "--workspace", str(tmp_path / "workspace")]
    ended = subprocess.run(argv, cwd=PROJECT, check=False, capture_output=True, text=True)
    assert ended.returncode == 2
    assert f"{case}:3:1: npu_per_nodes" in ended.stderr
    assert "npu_per_node" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "runs").exists()
