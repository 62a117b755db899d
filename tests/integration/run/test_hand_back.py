"""The way out of a run, with real processes on this machine and a record on a real disk."""

from __future__ import annotations

import os
import socket
import threading
import zlib
from concurrent.futures import Future
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from hosts_here import look, new_run
from plans import plan_of
from processes import process_of

from ci.agent.answers import Answer
from ci.agent.client import Agent
from ci.agent.process import ProcessState
from ci.agent.process_spec import LaunchRequest
from ci.connect.connection import LocalConnection
from ci.remote.names import LEASE
from ci.report.console import Plain
from ci.report.screen import SafeStream
from ci.run import left_over
from ci.run.hand_back import hand_back
from ci.run.last_lines import LastLines
from ci.run.leases import take_leases
from ci.run.logs import bring_logs_home
from ci.run.processes import Processes
from ci.run.stop import release, stop

if TYPE_CHECKING:
    from collections.abc import Iterator

SAYS = ("sh", "-c", "echo $0 is up; exec sleep 600")


class Record:
    """What the way out tells of itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self.fields: dict[str, object] = {}

    def note(self, text: str) -> None:
        self.notes.append(text)

    def update(self, **fields: object) -> None:
        self.fields |= fields


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    agent = Agent(LocalConnection(), str(tmp_path / "workspace"))
    view = Plain(SafeStream(StringIO()))
    made = Processes(new_run(), "a test", {agent.host: agent}, SimpleQueue(), view)
    yield made
    stop(made)
    release(made)
    agent.close()


def begin(processes: Processes, *names: str) -> None:
    (host,) = processes.agents
    take_leases(processes)
    launched = processes.launch_all([LaunchRequest(host, name, (*SAYS, name)) for name in names])
    for one in launched:
        while not one.tail():
            threading.Event().wait(0.01)


def test_a_log_that_is_missing_takes_no_other_with_it(processes: Processes, tmp_path: Path):
    begin(processes, "server-0", "server-1")
    (host,) = processes.agents
    [log] = tmp_path.glob(f"workspace/.lamplighter/*/{processes.run}/server-0/log")
    log.unlink()
    missing = bring_logs_home(processes, tmp_path / "logs")
    assert "does not exist" in missing[host]
    assert f"{processes.run}/server-0/log" in missing[host]
    assert f"inv down --run {processes.run}" in missing[host]
    assert (tmp_path / "logs" / host / "server-1.log").read_text() == "server-1 is up\n"


def test_a_host_is_taken_until_its_logs_are_home(processes: Processes, tmp_path: Path, monkeypatch):
    begin(processes, "server-0")
    (agent,) = processes.agents.values()
    seen: list[object] = []

    def watched(of: Processes, home: Path) -> dict[str, str]:
        seen.append(look(agent).holder)
        seen.extend(row["process"] for row in look(agent).processes if row["alive"])
        return bring_logs_home(of, home)

    monkeypatch.setattr("ci.run.hand_back.bring_logs_home", watched)
    record = Record(tmp_path)
    back = hand_back(processes, record)
    assert seen[0]["run"] == processes.run
    assert seen[1:] == [LEASE]
    assert look(agent).holder is None
    assert (back.kept, back.refused, record.notes) == (False, None, [])
    assert record.fields["survivors"] == []
    assert [row["name"] for row in record.fields["processes"]] == ["server-0", LEASE]


def test_what_is_not_verified_is_reported(processes: Processes, tmp_path: Path, monkeypatch):
    begin(processes, "server-0")
    unverified = "h2 was not verified: no answer"
    monkeypatch.setattr(
        "ci.run.hand_back.find_survivors", lambda _: (["h1: server-1"], [unverified])
    )
    record = Record(tmp_path)
    left = ["h1: port 8000 is still in use by pid 7 of ann"]
    back = hand_back(processes, record, find_left=lambda: left)
    assert back.unverified == ("still running: h1: server-1", unverified)
    assert back.left == tuple(record.fields["left_over"]) == tuple(left)
    assert f"handing back the hosts: {left[0]}" in record.notes


def test_a_port_and_shared_memory_are_waited_for(processes: Processes, monkeypatch):
    """A real listener and a real file: they stay, then go away while they are waited for."""
    (host,) = processes.agents
    before = {host: processes.agents[host].call("facts", ports=[]).value}
    shared = Path("/dev/shm") / f"lamplighter-test-{processes.run}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shared.write_bytes(bytes(2 << 20))
        port = listener.getsockname()[1]
        plan = plan_of(f"./x --port {port}", names=[host], npu_per_node=0, device="cpu")
        monkeypatch.setattr(left_over, "WAIT_S", 0.0)
        one, other = left_over.await_left_over(processes.agents, plan, {}, "", before)
        assert f"port {port} is still in use by pid {os.getpid()}" in one
        assert f"{shared} of" in other
        assert "(2 MiB)" in other
        with shared.open("rb"):  # it is another process's, which holds it
            (line,) = left_over.await_left_over(processes.agents, plan, {}, "", before)
            assert line == one
        monkeypatch.setattr(left_over, "WAIT_S", 600.0)
        monkeypatch.setattr(left_over.time, "sleep", lambda _: (listener.close(), shared.unlink()))
        assert left_over.await_left_over(processes.agents, plan, {}, "", before) == []


def test_what_cannot_be_kept_is_stopped(processes: Processes, tmp_path: Path, monkeypatch):
    begin(processes, "server-0")
    monkeypatch.setattr("ci.run.hand_back.keep", lambda *_: ["h2: the link is down"])
    record = Record(tmp_path)
    assert not hand_back(processes, record, keep_s=600).kept
    assert record.notes == [
        "handing back the hosts: the servers are stopped, not kept: h2: the link is down"
    ]
    (agent,) = processes.agents.values()
    assert [row for row in look(agent).processes if row["alive"]] == []


def test_what_is_kept_runs_on_and_its_log_is_home(processes: Processes, tmp_path: Path):
    begin(processes, "server-0")
    (agent,) = processes.agents.values()
    assert hand_back(processes, Record(tmp_path), keep_s=600).kept
    assert {row["process"] for row in look(agent).processes if row["alive"]} == {"server-0", LEASE}
    assert (tmp_path / "logs" / agent.host / "server-0.log").read_text() == "server-0 is up\n"


def test_a_host_that_hangs_holds_back_no_other_line():
    never: Future = Future()
    answered: Future = Future()
    answered.set_result(Answer(None, zlib.compress(b"first\nlast\n")))
    asked: list[str] = []

    @dataclass
    class Host:
        host: str
        reply: Future
        trouble = ""

        def ask(self, *_: object, **__: object) -> Future:
            asked.append(self.host)
            return self.reply

    agents = {"h1": Host("h1", never), "h2": Host("h2", answered)}
    started = [
        process_of(f"server-{at}", ProcessState("running"), host=host)
        for at, host in enumerate(agents)
    ]
    lines = LastLines()
    for _ in range(2):
        assert lines.of(started, agents) == {"server-0": "", "server-1": "last"}
    assert asked == ["h1", "h2", "h2"]  # who has not answered yet is not asked again
