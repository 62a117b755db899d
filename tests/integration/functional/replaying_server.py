"""A stand-in for vLLM that replays what vLLM 0.32.0 replied (tests/unit/captured/functional).

It answers every chat with the captured chat, and so on, with the requested model's name. It proves
what the runner does, not what a server does.
"""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CAPTURED = Path(__file__).parents[2] / "unit" / "captured" / "functional"
NAMES = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/responses": "responses",
    "/v1/models": "models",
    "/tokenize": "tokenize",
}


class Server(ThreadingHTTPServer):
    """The server; `requests` has (method, path, body) of each request."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, spoil: Callable[[Handler, dict[str, Any]], bool], key: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spoil, self.key = spoil, key
        self.requests: list[tuple[str, str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        """The root of the endpoint."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that hang up."""


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        """Answer a request with what was captured."""
        data = self.rfile.read(int(self.headers.get("content-length") or 0))
        try:
            body = json.loads(data) if data else {}
        except ValueError:
            body = {}
        self.server.requests.append((self.command, self.path, body))
        key = self.server.key
        if key and self.headers.get("authorization") != f"Bearer {key}":
            self.reply(401, b'{"error":"Unauthorized"}')
        elif self.server.spoil(self, body):
            return
        elif self.path == "/health":
            self.reply(200, b"")
        elif self.path == "/version":
            self.reply(200, b'{"version":"0.0.1"}')
        elif self.path not in NAMES:
            self.reply(404, b'{"detail":"Not Found"}')
        elif body.get("temperature") == -1:
            self.reply(400, (CAPTURED / "error.json").read_bytes())
        elif body.get("stream"):
            data = (CAPTURED / f"{NAMES[self.path]}.stream.txt").read_bytes()
            self.reply(200, data, "text/event-stream; charset=utf-8")
        else:
            self.reply(200, (CAPTURED / f"{NAMES[self.path]}.json").read_bytes())

    def reply(self, status: int, data: bytes, form: str = "application/json") -> None:
        """Send a whole reply."""
        self.send_response(status)
        self.send_header("content-type", form)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def replaying(
    spoil: Callable[[Handler, dict[str, Any]], bool] = lambda _handler, _body: False, key: str = ""
) -> Iterator[Server]:
    """Run the server.

    Args:
        spoil: called with every request; True if it has answered itself.
        key: the API key that requests need; empty for none.
    """
    server = Server(spoil, key)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
