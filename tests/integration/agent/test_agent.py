"""A host's agent whose way breaks and comes back: what was asked for goes on."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from hosts_here import new_run, until

from ci.agent import bootstrap
from ci.agent.answers import Refusal
from ci.agent.ask_all import call_all
from ci.agent.client import Agent
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.connect.connection import LocalChannel, LocalConnection
from ci.errors import ConnectionLost, HostUnreachable, InfrastructureError
from ci.report.console import Plain
from ci.run.processes import Processes
from ci.run.stop import lost_hosts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PATIENCE_S = 600


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def agent(tmp_path: Path, notes: list[str]) -> Iterator[Agent]:
    agent = Agent(LocalConnection(), str(tmp_path / "workspace"), notes.append)
    yield agent
    agent.close()


@pytest.mark.parametrize("name", ["run~1", "~", "a~/b"])
def test_a_tilde_within_a_workspace_is_a_character(tmp_path: Path, name: str) -> None:
    agent = Agent(LocalConnection(), str(tmp_path / name))
    try:
        assert agent.workspace == str(tmp_path / name)
    finally:
        agent.close()


def kill_its_other_end(agent: Agent) -> None:
    """As when sshd ends a session: the agent on the host is gone, what it started is not."""
    os.kill(agent._link.channel._process.pid, signal.SIGKILL)


@contextlib.contextmanager
def answering(statuses: dict[str, int]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(statuses["now"])
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_process_ends_while_the_way_is_broken_and_its_end_is_heard(agent: Agent):
    ends: SimpleQueue = SimpleQueue()
    one = start(agent, ProcessSpec(new_run(), "server", ("sleep", "600")), ends.put)
    kill_its_other_end(agent)
    os.kill(one.state.pid, signal.SIGKILL)
    assert ends.get(timeout=PATIENCE_S) is one
    assert (one.state.state, one.state.signal) == ("exited", signal.SIGKILL)
    assert one.stop().complete


def test_a_process_lives_on_and_is_stopped_over_the_new_way(agent: Agent, notes: list[str]):
    ends: SimpleQueue = SimpleQueue()
    one = start(agent, ProcessSpec(new_run(), "server", ("sleep", "600")), ends.put)
    kill_its_other_end(agent)
    until(lambda: any("connected again" in note for note in notes))
    assert ends.empty()
    assert one.stop().state == "stopped"


def test_a_repeated_check_goes_on_after_a_reconnect(agent: Agent, notes: list[str]):
    seen: SimpleQueue = SimpleQueue()
    statuses = {"now": 200}
    with answering(statuses) as url:
        question = {"method": "GET", "url": url, "timeout_s": 5}
        agent.begin(
            "check",
            "check",
            lambda frame, _: seen.put(frame["reply"]["status"]),
            question=question,
            every_s=0.05,
            times=2,
        )
        assert seen.get(timeout=PATIENCE_S) == 200
        kill_its_other_end(agent)
        until(lambda: any("connected again" in note for note in notes))
        assert seen.get(timeout=PATIENCE_S) == 200
        statuses["now"] = 503
        assert seen.get(timeout=PATIENCE_S) == 503


def test_a_log_is_followed_on_from_where_it_was(agent: Agent, notes: list[str], tmp_path: Path):
    go_on = tmp_path / "go-on"
    script = f"echo first; until [ -e {go_on} ]; do sleep 0.05; done; echo second"
    heard: SimpleQueue = SimpleQueue()
    one = start(agent, ProcessSpec(new_run(), "talker", ("sh", "-c", script)), lambda _: None)
    agent.begin(
        "follow",
        "log",
        lambda frame, data: heard.put(None if frame.get("end") else data),
        folder=one.folder,
        offset=0,
    )
    assert heard.get(timeout=PATIENCE_S) == b"first\n"
    kill_its_other_end(agent)
    until(lambda: any("connected again" in note for note in notes))
    go_on.touch()
    assert heard.get(timeout=PATIENCE_S) == b"second\n"
    assert heard.get(timeout=PATIENCE_S) is None


class Unnoticed(LocalConnection):
    """A connection whose end only a writer notices: a reader waits until somebody closes it."""

    def open(self, argv: Sequence[str]) -> UnnoticedChannel:
        return UnnoticedChannel(super().open(argv))


class UnnoticedChannel:
    def __init__(self, channel: LocalChannel) -> None:
        self._inner, self._closed = channel, threading.Event()

    def __getattr__(self, name: str):
        return getattr(self._inner, name)

    def read(self) -> bytes:
        data = self._inner.read()
        return data if data or self._closed.wait(PATIENCE_S) else b""

    def close(self) -> None:
        self._closed.set()
        self._inner.close()

    def break_off(self) -> None:
        self._inner._process.kill()
        self._inner._process.wait(PATIENCE_S)


@pytest.fixture
def unnoticed(tmp_path: Path, notes: list[str]) -> Iterator[Agent]:
    agent = Agent(Unnoticed(), str(tmp_path / "workspace"), notes.append)
    yield agent
    agent.close()


def ask_for_runs(agent: Agent) -> object:
    return agent.call("runs").value["processes"]


def ask_all_for_runs(agent: Agent) -> object:
    return call_all({"here": agent}, "runs")["here"].value["processes"]


@pytest.mark.parametrize("ask", [ask_for_runs, ask_all_for_runs])
def test_what_may_be_asked_again_is_over_the_next_connection(unnoticed: Agent, ask):
    unnoticed._link.channel.break_off()
    assert ask(unnoticed) == []
    assert unnoticed.trouble == ""


def test_what_may_not_be_asked_twice_is_not(unnoticed: Agent):
    unnoticed._link.channel.break_off()
    with pytest.raises(ConnectionLost, match="the connection broke"):
        unnoticed.call("beat")
    # Who has heard of a break can wait for the next connection.
    assert unnoticed.await_reconnect(PATIENCE_S)
    start(unnoticed, ProcessSpec(new_run(), "server", ("true",)), lambda _: None).stop()


class Gated(LocalConnection):
    """A host that cannot be connected to again before the gate opens."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()

    def reopen(self) -> None:
        self.gate.wait(PATIENCE_S)


def test_what_is_asked_while_the_connection_is_broken_waits_for_the_next(
    tmp_path: Path, notes: list[str]
):
    connection, seen = Gated(), SimpleQueue()
    with contextlib.closing(Agent(connection, str(tmp_path), notes.append)) as agent:
        kill_its_other_end(agent)
        until(lambda: agent.trouble)
        spec = ProcessSpec(new_run(), "server", ("true",))
        started = agent.ask("start", spec={**asdict(spec), "workspace": agent.workspace})
        listed = agent.ask("runs")
        question = {"method": "GET", "url": "http://127.0.0.1:1/", "timeout_s": 5}
        check = {"question": question, "every_s": 0.05, "times": 1}
        with ThreadPoolExecutor(1) as pool:
            begun = pool.submit(
                agent.begin, "check", "check", lambda frame, _: seen.put(frame), **check
            )
            until(lambda: len(agent._requests.pending) == 3)
            connection.gate.set()
            assert started.result(PATIENCE_S).value["pid"] > 0
            assert "processes" in listed.result(PATIENCE_S).value
            assert seen.get(timeout=PATIENCE_S)["check"] == begun.result(PATIENCE_S)


def test_a_process_that_is_started_while_the_connection_is_broken_is_not_lost(
    tmp_path: Path, notes: list[str]
):
    connection, ends = Gated(), SimpleQueue()
    with contextlib.closing(Agent(connection, str(tmp_path), notes.append)) as agent:
        kill_its_other_end(agent)
        until(lambda: agent.trouble)
        with ThreadPoolExecutor(1) as pool:
            spec = ProcessSpec(new_run(), "server", ("sleep", "600"))
            starting = pool.submit(start, agent, spec, ends.put)
            until(lambda: len(agent._requests.pending) == 1)
            connection.gate.set()
            one = starting.result(PATIENCE_S)
        assert (one.state.state, one.alive, ends.empty()) == ("running", True, True)
        os.kill(one.state.pid, signal.SIGKILL)
        assert ends.get(timeout=PATIENCE_S) is one
        assert one.state.signal == signal.SIGKILL
        assert one.stop().complete


def test_a_start_whose_answer_was_lost_is_asked_for_again(tmp_path: Path, notes: list[str]):
    """The host may have read the request, or not: either way there is one process."""
    connection, ends = Gated(), SimpleQueue()
    with contextlib.closing(Agent(connection, str(tmp_path), notes.append)) as agent:
        other_end = agent._link.channel._process.pid
        os.kill(other_end, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            spec = ProcessSpec(new_run(), "server", ("sleep", "600"))
            starting = pool.submit(start, agent, spec, ends.put)
            until(lambda: [each.times_sent for each in agent._requests.pending.values()] == [1])
            kill_its_other_end(agent)
            until(lambda: agent.trouble)
            connection.gate.set()
            one = starting.result(PATIENCE_S)
        assert (one.alive, ends.empty()) == (True, True)
        assert one.stop().complete


def test_a_start_that_is_asked_for_twice_starts_one_process(tmp_path: Path, notes: list[str]):
    with contextlib.closing(Agent(LocalConnection(), str(tmp_path), notes.append)) as agent:
        spec = ProcessSpec(new_run(), "server", ("sleep", "600"))
        body = {**asdict(spec), "workspace": agent.workspace, "token": "first"}
        once, twice = (agent.call("start", spec=body).value for _ in range(2))
        assert (twice["pid"], twice["folder"], twice["state"]) == (
            once["pid"],
            once["folder"],
            "running",
        )
        with pytest.raises(Refusal) as refused:
            agent.call("start", spec=body | {"token": "second"})
        assert refused.value.details["kind"] == "exists"
        assert agent.call("stop", folder=once["folder"], grace_s=0).value["complete"]
        # One that has ended meanwhile is not started once more.
        again = agent.call("start", spec=body).value
        assert (again["pid"], again["complete"]) == (once["pid"], True)


def test_what_was_asked_of_a_host_that_rebooted_meanwhile_says_so(unnoticed: Agent):
    unnoticed._link.boot_id = "of the boot before"
    unnoticed._link.channel.break_off()
    with pytest.raises(ConnectionLost, match="rebooted meanwhile"):
        unnoticed.call("runs")
    assert unnoticed.call("runs").value["processes"] == []


@pytest.mark.parametrize("back", [True, False])
def test_a_host_is_lost_only_where_its_connection_does_not_come_back(
    unnoticed: Agent, monkeypatch, *, back: bool
):
    def reopen() -> None:
        if not back:
            raise HostUnreachable("localhost: no route to it")

    monkeypatch.setattr(unnoticed.connection, "reopen", reopen)
    monkeypatch.setattr("ci.agent.reconnect.RETRY_S", 0)
    processes = Processes(
        new_run(), "me", {"localhost": unnoticed}, SimpleQueue(), Plain(StringIO())
    )
    unnoticed._link.channel.break_off()
    lost = lost_hosts(processes)
    assert list(lost) == ([] if back else ["localhost"])
    assert back or "no route" in lost["localhost"]


def test_what_cannot_be_done_says_why(agent: Agent, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InfrastructureError, match=r"cannot write .*make room"):
        agent.write(str(tmp_path / "file" / "below"), b"")
    assert agent.read(str(tmp_path / "none")) == b""


def test_a_host_with_another_python_gets_the_sources(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bootstrap.importlib.util, "MAGIC_NUMBER", b"none")
    bootstrap.parcel.cache_clear()
    try:
        with contextlib.closing(Agent(LocalConnection("old"), str(tmp_path))) as agent:
            one = start(
                agent, ProcessSpec(new_run(), "true", ("true",), owner="me"), lambda _: None
            )
            assert one.stop().complete
            assert (
                agent.call("facts", ports=[], models={"x": {"name": str(tmp_path)}}).value["errors"]
                == {}
            )
    finally:
        bootstrap.parcel.cache_clear()


def test_who_listens_for_a_while_is_gone_when_told(agent: Agent):
    opened = agent.call("open_ports", address="127.0.0.1", ports=[], seconds=60).value
    greeting, port = opened["greeting"], opened["ephemeral"]
    assert agent.call("accepts", port=port).value is True
    agent.call("close_ports", greeting=greeting)
    assert agent.call("accepts", port=port).value is False
    agent.call("close_ports", greeting=greeting)  # a repetition changes nothing


def test_files_are_written_whole_and_read_in_parts(agent: Agent, tmp_path: Path):
    path = tmp_path / "a" / "b" / "file"
    agent.write(str(path), b"first")
    agent.write(str(path), b"\0second\n", mode=0o640)
    assert agent.read(str(path)) == b"\0second\n"
    assert agent.read(str(path), 4) == b"ond\n"
    assert agent.read(str(path), tail=3) == b"nd\n"
    assert agent.read(str(path), 400) == b""
    large = os.urandom(300_000)
    agent.write(str(path), large)
    assert path.read_bytes() == large
    agent.write(str(path), large[:200_000], mode=0o640)
    assert path.read_bytes() == large[:200_000]
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in path.parent.iterdir()] == ["file"]


def test_a_host_that_is_gone_hides_nobody_elses_answer(agent: Agent, tmp_path: Path):
    gone = Agent(LocalConnection("gone"), str(tmp_path))
    gone.close()
    outcomes = call_all({"gone": gone, "here": agent}, "runs", 30)
    assert list(outcomes) == ["gone", "here"]
    assert isinstance(outcomes["gone"], ConnectionLost)
    assert outcomes["here"].value["processes"] == []
