"""What travels to hosts runs on every Python from 3.8 on: each one of this machine is a host."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from hosts_here import new_run
from night import PROJECT
from pythons_here import each_python

from ci.agent.client import Agent
from ci.agent.fetch import fetch_log
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.connect.connection import LocalConnection
from ci.remote.supervise.runs import is_supervised

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RECIPES = PROJECT / "ci" / "prepare" / "recipes"
PATIENCE_S = 60


@pytest.fixture(params=each_python(8))
def python(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def agent(python: str, tmp_path: Path) -> Iterator[Agent]:
    connection = LocalConnection("host")
    connection.python = python
    with contextlib.closing(Agent(connection, str(tmp_path / "workspace"))) as agent:
        yield agent


@pytest.fixture(params=["close", "keep-alive"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers as uvicorn does when it is asked to close, and one that does not."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Connection", request.param)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def test_every_module_is_imported_without_a_warning(python: str, tmp_path: Path):
    """In a folder of its own name, as on a host: there is nothing else of ours there."""
    paths = sorted((PROJECT / "ci" / "remote").rglob("*.py"))
    remote = [".".join(path.relative_to(PROJECT).with_suffix("").parts) for path in paths]
    recipes = ["one_maker", "uv_settings", "uv_commands", "make_environment", "convert_model"]
    code = f"import sys; sys.path[:0] = {[str(RECIPES), str(PROJECT)]!r}\n"
    code += "\n".join(f"import {name}" for name in remote + recipes)
    ended = subprocess.run(
        [python, "-ISB", "-W", "error", "-c", code],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=PATIENCE_S,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_process_is_started_and_stopped_while_threads_work(agent: Agent):
    """A supervisor is a fork of an agent that has threads."""
    ends: SimpleQueue = SimpleQueue()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        question = {"method": "GET", "url": url, "timeout_s": PATIENCE_S}
        waiting = [agent.ask("http", **question) for _ in range(20)]
        for _ in range(3):
            others = [agent.ask(do) for do in ("runs", "runs")]
            others += [
                agent.ask("facts", ports=[22], models={"x": {"name": "/none"}}) for _ in range(5)
            ]
            ended = start(agent, ProcessSpec(new_run(), "ended", ("true",)), ends.put)
            assert ends.get(timeout=PATIENCE_S) is ended
            assert ended.stop().complete
            stopped = start(agent, ProcessSpec(new_run(), "stopped", ("sleep", "600")), ends.put)
            assert is_supervised(stopped.state.pid)
            assert stopped.stop().complete
            assert ends.get(timeout=PATIENCE_S) is stopped
            assert all(one.result(PATIENCE_S).value for one in others)
        assert not any(one.done() for one in waiting)
    assert all(one.result(PATIENCE_S).value["error"] for one in waiting)


def test_a_process_is_supervised_to_its_end_and_its_log_comes_home(agent: Agent, tmp_path: Path):
    ends: SimpleQueue = SimpleQueue()
    script = "echo first; (sleep 600 & ); echo $MARK; exit 7"
    spec = ProcessSpec(new_run(), "talker", ("sh", "-c", script), {"MARK": "sécond"})
    talker = start(agent, spec, ends.put)
    assert ends.get(timeout=PATIENCE_S) is talker
    state = talker.stop()
    assert (state.state, state.exit_code, state.complete) == ("exited", 7, True)
    assert state.survivors == ()
    log = tmp_path / "home" / "talker.log"
    fetch_log(agent, talker.log, log)
    assert log.read_text("utf-8") == "first\nsécond\n"
    rows = agent.call("runs", workspace=agent.workspace).value["processes"]
    assert [(row["process"], row["alive"]) for row in rows] == [("talker", False)]


def test_a_log_is_followed(agent: Agent):
    heard: SimpleQueue = SimpleQueue()
    talker = start(agent, ProcessSpec(new_run(), "talker", ("echo", "line")), lambda _: None)
    agent.begin(
        "follow",
        "log",
        lambda frame, data: heard.put(None if frame.get("end") else data),
        folder=talker.folder,
        offset=0,
    )
    assert heard.get(timeout=PATIENCE_S) == b"line\n"
    assert heard.get(timeout=PATIENCE_S) is None


def test_facts_are_gathered_without_an_error(agent: Agent, tmp_path: Path):
    facts = agent.call("facts", ports=[1], models={"x": {"name": str(tmp_path)}}).value
    assert facts["errors"] == {}
    json.dumps(facts)


def test_an_answer_comes_whole_however_the_server_closes(agent: Agent, url: str):
    body = {"text": "x" * 100_000}
    answer = agent.call("http", method="POST", url=url, timeout_s=PATIENCE_S, body=body).value
    assert (answer["status"], answer["error"]) == (200, "")
    assert json.loads(answer["body"]) == body


def test_ports_files_and_locks(agent: Agent, tmp_path: Path):
    opened = agent.call("open_ports", address="127.0.0.1", ports=[], seconds=60).value
    assert agent.call("accepts", port=opened["ephemeral"]).value is True
    agent.call("close_ports", greeting=opened["greeting"])
    content = os.urandom(1000)
    agent.write(str(tmp_path / "a" / "file"), content)
    assert agent.read(str(tmp_path / "a" / "file")) == content
    assert agent.call("digest", path=str(tmp_path / "a" / "file")).value["size"] == len(content)
