"""Watch the health of real HTTP servers whose process stays alive: which replies count as dead."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest
from processes import process_of

from ci.agent.client import Agent
from ci.agent.process import ProcessState
from ci.connect.connection import LocalChannel, LocalConnection
from ci.errors import ProcessDied
from ci.plan.model import Access
from ci.run.events import cause_of_end
from ci.serve.ask import Answering
from ci.serve.watch import watch_health

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE_S = 600
SERVER = process_of(
    "server-0", ProcessState("running"), "RuntimeError: no engine", host="localhost"
)


@pytest.fixture
def agents(tmp_path: Path):
    agent = Agent(LocalConnection(), str(tmp_path))
    yield {"localhost": agent}
    agent.close()


class Breakable(LocalConnection):
    """Keeps the channels, so that a test can close one."""

    def __init__(self) -> None:
        super().__init__()
        self.channels: list[LocalChannel] = []

    def open(self, argv: Sequence[str]) -> LocalChannel:
        self.channels.append(super().open(argv))
        return self.channels[-1]


@contextmanager
def answering(*statuses: int, afterwards: Sequence[int] = (200,)):
    """Serve these statuses in turn, then the last of `afterwards`, which may grow.

    Yields the URL, and what is set at the end of the statuses.
    """
    left, spent = list(statuses), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if not left:
                spent.set()
            self.send_response(left.pop(0) if left else afterwards[-1])
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


def test_two_consecutive_503s_are_an_end_with_the_reason_of_its_log(agents):
    events: SimpleQueue = SimpleQueue()
    with (
        answering(200, 503, 503) as (url, _),
        watch_health([Answering(SERVER, url, Access())], agents, events),
    ):
        death = cause_of_end(events.get(timeout=PATIENCE_S))
    assert isinstance(death, ProcessDied)
    assert death.process == "server-0"
    assert "503" in death.reason
    assert "no engine" in death.reason


@pytest.mark.parametrize("statuses", [(503, 200, 503), (500, 500), (429, 429), (200,)])
def test_anything_else_is_not(agents, statuses: tuple[int, ...]):
    events: SimpleQueue = SimpleQueue()
    with (
        answering(*statuses) as (url, spent),
        watch_health([Answering(SERVER, url, Access())], agents, events),
    ):
        assert spent.wait(PATIENCE_S)
    assert events.empty()


def test_it_goes_on_after_a_reconnect_to_the_host(tmp_path: Path):
    notes: SimpleQueue = SimpleQueue()
    events: SimpleQueue = SimpleQueue()
    statuses = [200]
    connection = Breakable()
    agent = Agent(connection, str(tmp_path), notes.put)
    try:
        with (
            answering(200, 200, afterwards=statuses) as (url, spent),
            watch_health([Answering(SERVER, url, Access())], {"localhost": agent}, events),
        ):
            assert spent.wait(PATIENCE_S)
            connection.channels[-1].close()
            while "connected again" not in notes.get(timeout=PATIENCE_S):
                pass
            statuses.append(503)
            death = cause_of_end(events.get(timeout=PATIENCE_S))
    finally:
        agent.close()
    assert "503" in str(death)
