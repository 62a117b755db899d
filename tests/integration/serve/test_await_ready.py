"""Waiting for real processes that serve real HTTP, well or badly."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest

from ci.agent.process import ProcessState
from ci.errors import Interrupted, NotReady, ProcessDied
from ci.remote.requests.http import ask
from ci.serve.readiness import await_ready
from ci.tools.model import Endpoint

LOGS = Path(__file__).parents[2] / "unit" / "captured" / "vllm_logs"

# Behaves as its first argument says; says its port in its first line.
SERVER = """
import json, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
mode, seen = sys.argv[1], []
class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def text(self, raw):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)
    def do_GET(self):
        seen.append(self.path)
        warm = mode == "slow" and len(seen) > 3
        if self.path == "/metrics":
            return self.text(b'vllm:num_requests_running{engine="0",model_name="tiny"} 0.0\\n')
        bad = mode == "unhealthy" or (mode == "slow" and not warm)
        self.answer(503 if bad else 200, {})
    def do_POST(self):
        seen.append(self.path)
        if mode == "hangs" or (mode == "rank-0-only" and seen.count(self.path) > 1):
            threading.Event().wait()
        tokens = 0 if mode == "silent" else 2
        self.answer(200, {"choices": [{"text": " a b"}], "usage": {"completion_tokens": tokens}})
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.server_bind()
if mode != "deaf":
    server.server_activate()
print(server.server_port, flush=True)
if mode == "deaf":
    threading.Event().wait()
server.serve_forever()
"""


class Child:
    """A real process with the face of `ci.agent.process.RemoteProcess`."""

    def __init__(self, name, argv, events):
        self.name, self.host, self.ended, self.state = name, "here", threading.Event(), None
        self.popen = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        self.first_line = self.popen.stdout.readline()
        self.lines = [self.first_line.rstrip()]
        self.why_lost = ""
        self.waiter = threading.Thread(target=self.wait, args=(events,))
        self.waiter.start()

    def wait(self, events):
        self.lines += [line.rstrip("\n") for line in self.popen.stdout]
        code = self.popen.wait()
        self.popen.stdout.close()
        self.state = ProcessState(
            "exited", exit_code=code if code >= 0 else None, signal=-code if code < 0 else None
        )
        self.ended.set()
        events.put(self)

    def tail(self, lines=20):
        return tuple(self.lines[-lines:])


@pytest.fixture
def events():
    return SimpleQueue()


@pytest.fixture
def start(events):
    children = []

    def start_child(name, *argv):
        children.append(Child(name, [sys.executable, "-c", *argv], events))
        return children[-1]

    yield start_child
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            child.popen.kill()
        child.waiter.join()


@pytest.fixture
def serve(start):
    def start_server(mode):
        child = start("server", SERVER, mode)
        return child, Endpoint("127.0.0.1", int(child.first_line), "tiny")

    return start_server


def ignore(waiting_for, seconds):
    """Make no progress known."""


@pytest.mark.parametrize("mode", ["good", "slow"])
def test_ready(serve, events, mode):
    server, endpoint = serve(mode)
    await_ready([server], endpoint, ask, events, 60, ignore)
    assert server.ended.is_set() is False


@pytest.mark.parametrize(
    ("mode", "last_seen"),
    [
        ("unhealthy", "health 200 (HTTP 503"),
        ("hangs", "a completion with tokens (no "),
        ("silent", "a completion with tokens (the reply has no tokens)"),
        ("deaf", "health 200 (connection refused)"),
    ],
)
def test_not_ready_says_what_was_last_seen(serve, events, mode, last_seen):
    server, endpoint = serve(mode)
    with pytest.raises(NotReady) as raised:
        await_ready([server], endpoint, ask, events, 1.5, ignore)
    assert f"{endpoint.url} is not ready after 1.5 s" in str(raised.value)
    assert f"still waiting for {last_seen}" in str(raised.value)
    assert "unchanged for " in str(raised.value)


def test_a_data_parallel_rank_that_is_missing_stays_missing(serve, events):
    server, endpoint = serve("rank-0-only")
    reported = []

    def enough(waiting_for, _):
        reported.append(waiting_for)
        if reported.count("data-parallel rank 1 in its metrics") > 1:
            events.put(Interrupted("seen enough"))

    with pytest.raises(Interrupted):
        await_ready([server], endpoint, ask, events, 60, enough, ranks=2)


def test_progress_is_reported(serve, events):
    server, endpoint = serve("unhealthy")
    reported = []
    with pytest.raises(NotReady):
        await_ready([server], endpoint, ask, events, 3, lambda *progress: reported.append(progress))
    assert {what for what, _ in reported} == {"health 200 (HTTP 503: {})"}
    seconds = [s for _, s in reported]
    assert seconds == sorted(seconds)
    assert seconds[0] >= 1


def test_a_death_ends_the_wait_while_a_completion_hangs(serve, events):
    server, endpoint = serve("hangs")

    def kill(waiting_for, _):
        if "completion" in waiting_for:
            server.popen.send_signal(signal.SIGKILL)

    with pytest.raises(ProcessDied, match="server on here: killed with SIGKILL") as raised:
        await_ready([server], endpoint, ask, events, 60, kill)
    assert raised.value.process == "server"
    assert raised.value.tail == (server.first_line.strip(),)


def test_a_death_is_explained_from_the_log(start, events):
    log = (LOGS / "port_in_use.log").read_text()
    dying = start("server", "import sys; print(sys.argv[1].strip()); sys.exit(1)", log)
    with pytest.raises(ProcessDied, match="server on here: port 8123 is in use") as raised:
        await_ready([dying], Endpoint("127.0.0.1", 1, "tiny"), ask, events, 60, ignore)
    assert "Address already in use" in raised.value.tail[-1]


def test_any_process_has_to_live(serve, start, events):
    server, endpoint = serve("unhealthy")
    worker = start("worker", "import time; print('up', flush=True); time.sleep(3600)")

    def kill_the_worker(*_):
        os.kill(worker.popen.pid, signal.SIGTERM)

    with pytest.raises(ProcessDied, match="worker on here: ended by SIGTERM"):
        await_ready([server, worker], endpoint, ask, events, 60, kill_the_worker)


def test_somebody_else_answering_for_a_dead_server_is_not_ready(serve, start, events):
    _, endpoint = serve("good")
    dead = start("ours", "raise SystemExit(3)")
    assert events.get() is dead
    with pytest.raises(ProcessDied, match="ours on here: exited with code 3"):
        await_ready([dead], endpoint, ask, events, 60, ignore)


def test_an_interrupt_ends_the_wait(serve, events):
    server, endpoint = serve("hangs")

    def interrupt(*_):
        events.put(Interrupted("interrupted by SIGINT"))

    with pytest.raises(Interrupted, match="SIGINT"):
        await_ready([server], endpoint, ask, events, 60, interrupt)
    assert not server.ended.is_set()
