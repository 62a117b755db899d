"""Watching the health of real HTTP servers whose process lives on: what counts as dead."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from ci.errors import ProcessDied
from ci.hosts.agent import Agent
from ci.hosts.connection import LocalConnection
from ci.hosts.process import State
from ci.serve.watch import cause_of_end, health_watched

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 30
SERVER = SimpleNamespace(
    name="server-0",
    host="localhost",
    state=State("running"),
    why_lost="",
    tail=lambda _: ("RuntimeError: no engine",),
)


@pytest.fixture
def agents(tmp_path: Path):
    agent = Agent(LocalConnection(), str(tmp_path))
    yield {"localhost": agent}
    agent.close()


@contextmanager
def answering(*statuses: int):
    """Serve these statuses in turn, then 200; yields the URL and what is set at the end of them."""
    left, spent = list(statuses), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if not left:
                spent.set()
            self.send_response(left.pop(0) if left else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/health", spent
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_503_twice_running_is_a_death_with_the_reason_of_its_log(agents):
    events: SimpleQueue = SimpleQueue()
    with answering(200, 503, 503) as (url, _), health_watched([(SERVER, url)], agents, events):
        death = cause_of_end(events.get(timeout=PATIENCE_S))
    assert isinstance(death, ProcessDied)
    assert death.process == "server-0"
    assert "503" in death.reason
    assert "no engine" in death.reason


@pytest.mark.parametrize("statuses", [(503, 200, 503), (500, 500), (429, 429), (200,)])
def test_anything_else_is_not(agents, statuses: tuple[int, ...]):
    events: SimpleQueue = SimpleQueue()
    with answering(*statuses) as (url, spent), health_watched([(SERVER, url)], agents, events):
        assert spent.wait(PATIENCE_S)
    assert events.empty()
