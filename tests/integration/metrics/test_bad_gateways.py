"""Stand-ins for gateways, and for what stands in front of them, that misbehave.

What a real pushgateway 1.5.1 answers is in test_gateway.py; no real one does these.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from hosts_here import until
from metric_runs import SECRET, night

from ci.metrics import publish as publishing
from ci.metrics.gateway import push
from ci.metrics.gateway_client import MAX_ERROR_BYTES
from ci.metrics.labels import LabelValues
from ci.metrics.night import metrics_of
from ci.metrics.publish import PublishRequest, publish_night, to_gateway
from ci.metrics.served import Served
from ci.metrics.settings import Credentials, Gateway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GROUPS = metrics_of(night(), Served("m"), LabelValues()).groups
# Of a bearer, and a password of basic authentication.
CREDENTIALS = (Credentials(token=SECRET), Credentials("nights", SECRET))
NOBODY = Credentials()
NO_PAUSES = (0.0, 0.0)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.headers.get("Authorization", "")))
        self.server.behave(self, len(self.server.asked))

    def __getattr__(self, name: str) -> object:
        """Answer every method in the same way."""
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)


@contextmanager
def gateway_that(behave: Callable[[Handler, int], None]) -> Iterator[ThreadingHTTPServer]:
    """Run a stand-in; `behave` answers a request, and is told its number from 1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.asked, server.behave = [], behave
        server.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()


def push_to(server, credentials=NOBODY):
    return push(Gateway(server.url, credentials), GROUPS, lambda _: True, NO_PAUSES)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_passes_is_tried_again(status: int):
    def behave(handler: Handler, number: int) -> None:
        if handler.command == "GET":
            handler.reply(200, b'{"data": []}')
        else:
            handler.reply(status if number < 3 else 202)

    with gateway_that(behave) as server:
        outcome = push_to(server)
    assert (outcome.error, outcome.tries, outcome.remark) == ("", 3, "")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413])
def test_what_does_not_pass_is_tried_once(status: int):
    with gateway_that(lambda handler, _: handler.reply(status, b"no")) as server:
        outcome = push_to(server)
        assert len(server.asked) == 1
    assert outcome.error.startswith(f'HTTP {status}: "no"')


@pytest.mark.parametrize("credentials", CREDENTIALS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_credentials_do_not_follow_a_redirect(status: int, credentials: Credentials):
    with gateway_that(lambda handler, _: handler.reply(202)) as elsewhere:
        place = f"{elsewhere.url}/metrics"
        with gateway_that(lambda handler, _: handler.reply(status, Location=place)) as server:
            outcome = push_to(server, credentials)
        assert elsewhere.asked == []
    assert outcome.error == f"HTTP {status}; it redirects: name the place that it redirects to"


@pytest.mark.parametrize("credentials", CREDENTIALS)
def test_a_gateway_that_repeats_what_it_was_sent(credentials: Credentials):
    def behave(handler: Handler, _: int) -> None:
        sent = handler.headers["Authorization"]
        shown = f"\x1b]0;x\x07{sent} {sent.partition(' ')[2]} {SECRET} \x1b[31mred"
        handler.reply(400, shown.encode())

    with gateway_that(behave) as server:
        outcome = push_to(server, credentials)
        (_, sent) = server.asked[0]
    assert sent.partition(" ")[2][2:-4] not in outcome.error
    assert SECRET not in outcome.error
    assert "\x1b" not in outcome.error


def test_the_environment_sends_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Neither a proxy nor ~/.netrc."""
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with gateway_that(lambda handler, _: handler.reply(200, b'{"data": []}')) as server:
        assert push_to(server).error == ""
        assert {sent for _, sent in server.asked} == {""}


LISTS = (
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b'{"data": 1}',
    b'{"data": {"a": 1}}',
    b'{"data": [1, null, "x", {}]}',
    b'{"data": [{"labels": {"job": "lamplighter", "case": 1}, "push_time_seconds": []}]}',
    b'{"data": [{"labels": {"job": ["lamplighter"]}}]}',
    b'{"data": [{"labels": {"job": "lamplighter"}, "push_time_seconds": {"metrics": [1]}}]}',
    b"[" * 100_000,
)


@pytest.mark.parametrize("body", LISTS)
def test_a_list_of_groups_that_is_none(body: bytes):
    def behave(handler: Handler, _: int) -> None:
        handler.reply(200, body if handler.command == "GET" else b"")

    with gateway_that(behave) as server:
        outcome = push_to(server)
        assert [method for method, _ in server.asked] == ["PUT", "PUT", "GET"]
    assert (outcome.error, outcome.deleted) == ("", 0)


def test_an_error_without_end():
    def behave(handler: Handler, _: int) -> None:
        handler.send_response(400)
        handler.send_header("Connection", "close")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * MAX_ERROR_BYTES)
        except OSError:
            handler.close_connection = True

    with gateway_that(behave) as server:
        assert push_to(server).error.startswith("HTTP 400")


@pytest.fixture
def hanging() -> Iterator[ThreadingHTTPServer]:
    """A gateway that never answers, until the test is over."""
    over = threading.Event()

    def behave(handler: Handler, _: int) -> None:
        over.wait()
        handler.close_connection = True

    with gateway_that(behave) as server:
        yield server
        over.set()


def test_a_gateway_that_hangs_is_left(
    hanging: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(publishing, "WHOLE_S", 0.5)
    request = PublishRequest(Gateway(hanging.url))
    done = to_gateway(request, GROUPS, "4 checks", lambda: False)
    assert done.failed
    assert done.notes == (f"metrics: not pushed to {hanging.url}: not finished within 0.5 s",)


def test_ctrl_c_ends_the_waiting(hanging: ThreadingHTTPServer):
    request = PublishRequest(Gateway(hanging.url))
    stopped = lambda: bool(hanging.asked)  # noqa: E731
    done = to_gateway(request, GROUPS, "4 checks", stopped)
    assert done.notes == (f"metrics: not pushed to {hanging.url}: interrupted",)


def test_whatever_fails_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken(*_: object) -> None:
        raise RuntimeError(f"token={SECRET}")

    notes: list[str] = []
    env = {"PROM_PUSHGATEWAY_URL": "http://127.0.0.1:9"}
    monkeypatch.setattr(publishing, "metrics_of", broken)
    publish_night(tmp_path, night(), env, notes.append)
    assert notes == ["metrics: not published: token=***; the outcome stands"]


def test_a_folder_that_fails_does_not_keep_the_gateway_from_it(tmp_path: Path):
    with gateway_that(lambda handler, _: handler.reply(200, b'{"data": []}')) as server:
        env = {"PROM_PUSHGATEWAY_URL": server.url, "PROM_TEXTFILE_DIR": str(tmp_path / "no")}
        notes: list[str] = []
        publish_night(tmp_path, night(), env, notes.append)
        until(lambda: server.asked)
    assert "is not a folder" in notes[0]
    assert "pushed 4 checks" in notes[1]


@pytest.mark.parametrize("purpose", ["control", "again", "against-itself"])
def test_what_is_measured_beside_a_night_is_not_published(tmp_path: Path, purpose: str):
    notes: list[str] = []
    env = {"PROM_PUSHGATEWAY_URL": "http://127.0.0.1:9"}
    publish_night(tmp_path, night(purpose=purpose), env, notes.append)
    assert notes == []


def test_an_interrupted_night_publishes_nothing(tmp_path: Path):
    notes: list[str] = []
    env = {"PROM_PUSHGATEWAY_URL": "http://127.0.0.1:9"}
    publish_night(tmp_path, night("unknown"), env, notes.append, lambda: True)
    assert notes == ["metrics: not published: the night was interrupted"]
