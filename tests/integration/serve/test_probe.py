"""Probes and the smoke check against real HTTP servers, good ones and bad ones."""

import json
import socket
import threading
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ci.case.model import SmokeRequest
from ci.remote.requests.http import ask
from ci.serve import probe
from ci.serve.smoke import smoke
from ci.tools.model import Endpoint

GOOD = {
    "choices": [{"text": " Wednesday", "message": {"content": "Wednesday"}}],
    "usage": {"completion_tokens": 2},
}


class Answers(ThreadingHTTPServer):
    """Answers everything with the status and body it was given, and remembers what was asked."""

    daemon_threads = True

    def __init__(self, status, body, headers=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.headers = status, body, headers or {}
        self.asked = []
        self.released = threading.Event()
        self.endpoint = Endpoint("127.0.0.1", self.server_port, "tiny")


class Handler(BaseHTTPRequestHandler):
    server: Answers

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def answer(self, body):
        self.server.asked.append((self.path, body))
        if self.server.status is None:
            self.server.released.wait()
            return
        self.send_response(self.server.status)
        for name, value in {"Content-Length": len(self.server.body), **self.server.headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@contextmanager
def answering(status, body, headers=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with Answers(status, raw, headers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def nobody():
    """An endpoint whose port is bound, so that nobody else takes it, and that nobody hears."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield Endpoint("127.0.0.1", held.getsockname()[1], "tiny")


def test_good_answers():
    with answering(200, GOOD) as server:
        completion = probe.completion(ask, server.endpoint, 5)
        chat = probe.chat(ask, server.endpoint, 5)
    assert replace(completion, seconds=0) == probe.ProbeResult("completion", 200, 2, " Wednesday")
    assert replace(chat, seconds=0) == probe.ProbeResult("chat", 200, 2, "Wednesday")
    assert completion.ok
    assert chat.ok
    (path, body), (chat_path, chat_body) = server.asked
    assert (path, chat_path) == ("/v1/completions", "/v1/chat/completions")
    assert body["model"] == chat_body["model"] == "tiny"
    assert body["temperature"] == chat_body["temperature"] == 0
    assert 1 <= body["max_tokens"] <= 16


def test_a_model_that_is_still_reasoning_has_answered():
    message = {"content": None, "reasoning_content": "Let me see"}
    with answering(200, {**GOOD, "choices": [{"message": message}]}) as server:
        assert probe.chat(ask, server.endpoint, 5).text == "Let me see"


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>Welcome to nginx!</html>", "HTTP 200: <html>Welcome to nginx!</html>"),
        (200, b"", "HTTP 200: an empty reply"),
        (200, b"\xff\xfe{", "HTTP 200: \ufffd\ufffd{"),
        (200, b"[" * 100_000, "HTTP 200: " + "[" * 200),
        (200, b"[]", "HTTP 200: []"),
        (200, b"null", "HTTP 200: null"),
        (200, {}, "the reply has no choices"),
        (200, {**GOOD, "choices": []}, "the reply has no choices"),
        (200, {**GOOD, "choices": {"0": 1}}, "the reply has no choices"),
        (200, {**GOOD, "choices": ["text"]}, "the reply has no choices"),
        (200, {**GOOD, "choices": [{"text": None}]}, "the reply has no text"),
        (200, {**GOOD, "usage": None}, "has no usage.completion_tokens"),
        (200, {**GOOD, "usage": {"completion_tokens": "2"}}, "has no usage.completion_tokens"),
        (200, {**GOOD, "usage": {"completion_tokens": True}}, "has no usage.completion_tokens"),
        (200, {**GOOD, "usage": {"completion_tokens": 0}}, "the reply has no tokens"),
        (200, {**GOOD, "usage": {"completion_tokens": -1}}, "the reply has no tokens"),
        (200, {**GOOD, "error": {"message": "engine\nis dead"}}, "HTTP 200: engine is dead"),
        (200, {"error": "engine is dead"}, "HTTP 200: engine is dead"),
        (404, {"error": {"message": "The model `x` does not exist."}}, "HTTP 404: The model `x`"),
        (500, b"Internal Server Error", "HTTP 500: Internal Server Error"),
        (503, GOOD, "HTTP 503: "),
    ],
)
def test_bad_completions_are_seen_with_a_one_line_error(status, body, error):
    with answering(status, body) as server:
        seen = probe.completion(ask, server.endpoint, 5)
    assert error in seen.error
    assert "\n" not in seen.error
    assert seen.status == status
    assert not seen.ok


@pytest.mark.parametrize("body", [{**GOOD, "choices": [{"message": m}]} for m in (None, "x", {})])
def test_bad_chats(body):
    with answering(200, body) as server:
        assert probe.chat(ask, server.endpoint, 5).error == "the reply has no text"


@pytest.mark.parametrize(
    ("status", "error"),
    [(200, ""), (204, "HTTP 204"), (302, "HTTP 302"), (404, "HTTP 404"), (503, "HTTP 503")],
)
def test_only_200_is_healthy(status, error):
    with answering(status, b"", {"Location": "/elsewhere"}) as server:
        seen = probe.health(ask, f"{server.endpoint.url}/health", 5)
    assert (seen.status, seen.error) == (status, error)
    assert server.asked == [("/health", None)]


def test_nobody_listens(nobody):
    assert probe.health(ask, f"{nobody.url}/health", 5).error == "connection refused"
    assert probe.completion(ask, nobody, 5).error == "connection refused"


def test_no_answer_in_time():
    with answering(None, b"") as server:
        assert probe.completion(ask, server.endpoint, 0.2).error == "no answer within 0.2 s"


def test_an_answer_that_stops_half_way():
    with answering(200, b"{", {"Content-Length": 100}) as server:
        assert probe.completion(ask, server.endpoint, 5).error


@pytest.mark.parametrize("url", ["http://[bad/health", "no-scheme", "http://" + "x" * 70 + "/"])
def test_bad_urls_do_not_raise(url):
    assert probe.health(ask, url, 1).error


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch, nobody):
    with answering(200, GOOD) as proxy:
        monkeypatch.setenv("http_proxy", proxy.endpoint.url)
        assert probe.completion(ask, nobody, 5).error == "connection refused"
    assert proxy.asked == []


def test_version_and_models():
    with answering(200, {"version": "0.32.0", "data": [{"id": "tiny"}, {"id": "b"}]}) as server:
        assert probe.served_version(ask, server.endpoint) == "0.32.0"
        assert probe.served_models(ask, server.endpoint) == ("tiny", "b")


@pytest.mark.parametrize("body", [b"<html>", {"version": 3, "data": "no"}, {"data": [None, {}]}])
def test_no_version_and_no_models(body):
    with answering(200, body) as server:
        assert probe.served_version(ask, server.endpoint) is None
        assert probe.served_models(ask, server.endpoint) == ()


def test_smoke_passes_on_tokens():
    with answering(200, GOOD) as server:
        checks = smoke(ask, server.endpoint, 5)
    assert [(c.name, c.metric, c.value, c.outcome, c.reason) for c in checks] == [
        ("smoke completion", "tokens", 2.0, "pass", ""),
        ("smoke chat", "tokens", 2.0, "pass", ""),
    ]


def test_smoke_asks_what_the_case_says():
    arguments = {"max_tokens": 32, "temperature": 1.0, "stream": True, "model": "other"}
    with answering(200, GOOD) as server:
        checks = smoke(
            ask, server.endpoint, 5, SmokeRequest(prompts=("a", "b"), arguments=arguments)
        )
    assert [c.name for c in checks] == ["smoke completion", "smoke completion 1", "smoke chat"]
    asked = [body for _, body in server.asked]
    assert [body.get("prompt") for body in asked] == ["a", "b", None]
    assert asked[2]["messages"] == [{"role": "user", "content": "a"}]
    assert {(body["max_tokens"], body["temperature"], "stream" in body) for body in asked} == {
        (32, 1.0, False),
    }
    assert {body["model"] for body in asked} == {server.endpoint.model}


def test_smoke_is_unknown_without_tokens():
    with answering(200, {**GOOD, "usage": {"completion_tokens": 0}}) as server:
        checks = smoke(ask, server.endpoint, 5)
    assert {(c.value, c.outcome, c.reason) for c in checks} == {
        (None, "unknown", "the reply has no tokens"),
    }


def test_smoke_is_unknown_without_a_server(nobody):
    assert {check.outcome for check in smoke(ask, nobody, 5)} == {"unknown"}
