"""Answers what a host asks of package indexes, through its tunnel: it listens nowhere itself.

Only to whoever knows a word that is made anew for each tunnel, and only towards hosts that are
named: a host's other users, and what a package runs while it is built, get no way into this
machine's network.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import secrets
import socket
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from ci.documents.address import host_port
from ci.prepare.outward import PORTS, dial, proxy_for, proxy_word
from ci.prepare.wheel_folder import LINKS, answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.prepare.outward import Where

USER = "lamplighter"
HEAD_BYTES = 64 * 1024
PIECE_BYTES = 64 * 1024
IDLE_S = 300.0
CALLERS = 64


class Stream(Protocol):
    """A connection; a socket is one, and so is a channel of paramiko's."""

    def recv(self, nbytes: int, /) -> bytes:
        """Wait for bytes; none at the end."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def settimeout(self, timeout: float, /) -> None:
        """Bound every wait."""

    def shutdown(self, how: int, /) -> None:
        """End one way, or both."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Request:
    """The head of an HTTP request, and what came after it."""

    method: str
    target: str
    headers: Mapping[str, str]
    rest: bytes


class Refused(Exception):  # noqa: N818 - an answer
    """An answer other than what was asked for."""

    def __init__(self, status: int, text: str, header: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.header = status, text, header


class IndexProxy:
    """One host's way to package indexes.

    Attributes:
        refused: hosts that were asked for and are not allowed.
    """

    def __init__(self, allowed: frozenset[Where], folders: Mapping[str, Path]) -> None:
        """Let requests through.

        Args:
            allowed: hosts and ports.
            folders: name → folder of wheels that is offered below `LINKS`.
        """
        self.refused: set[str] = set()
        self._allowed, self._folders = allowed, folders
        self._word = secrets.token_urlsafe(18)
        self._lock = threading.Lock()
        self._open: set[Stream] = set()
        self._closed = False

    def url(self, port: int) -> str:
        """What the host is told to use; a secret."""
        return f"http://{USER}:{self._word}@127.0.0.1:{port}"

    def take(self, stream: Stream) -> None:
        """Serve one connection in a thread of its own."""
        with self._lock:
            full = self._closed or len(self._open) >= CALLERS
            if not full:
                self._open.add(stream)
        work = stream.close if full else lambda: self._serve(stream)
        threading.Thread(target=work, daemon=True, name="index proxy").start()

    def close(self) -> None:
        """End every connection."""
        with self._lock:
            self._closed = True
            streams = list(self._open)
        for stream in streams:
            _end(stream)

    def _serve(self, stream: Stream) -> None:
        try:
            with contextlib.suppress(OSError, EOFError):
                stream.settimeout(IDLE_S)
                try:
                    self._answer(stream, _read_request(stream))
                except Refused as refused:
                    _refuse(stream, refused)
        finally:  # whatever it was: its place is another caller's
            _end(stream)
            with self._lock:
                self._open.discard(stream)

    def _answer(self, stream: Stream, request: Request) -> None:
        told = request.headers.get("proxy-authorization", "")
        word = base64.b64encode(f"{USER}:{self._word}".encode()).decode()
        if not hmac.compare_digest(told.encode(), f"Basic {word}".encode()):
            raise Refused(407, "this is not yours", "Proxy-Authenticate: Basic\r\n")
        if request.target.startswith(LINKS):
            answer(stream, request.method, request.target, request.headers, self._folders)
        elif request.method == "CONNECT":
            self._connect(stream, request)
        else:
            self._pass_on(stream, request)

    def _connect(self, stream: Stream, request: Request) -> None:
        with self._dial(*_host_port(f"//{request.target}"), "https") as way:
            stream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if request.rest:
                way.sendall(request.rest)
            _join(stream, way)

    def _pass_on(self, stream: Stream, request: Request) -> None:
        """Send a plain request on; the connection ends with its answer."""
        if not request.target.startswith("http://"):
            raise Refused(400, "only http and CONNECT are spoken here")
        host, port = _host_port(request.target, PORTS["http"])
        parts = urlsplit(request.target)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxied = proxy_for(host, "http") is not None
        head = [f"{request.method} {request.target if proxied else path} HTTP/1.1"]
        head += [
            f"{name}: {value}"
            for name, value in request.headers.items()
            if not name.startswith("proxy-") and name not in {"connection", "keep-alive"}
        ]
        with self._dial(host, port, "http") as way:
            head += proxy_word(host, "http") if proxied else []
            way.sendall("\r\n".join([*head, "connection: close", "", ""]).encode() + request.rest)
            _join(stream, way)

    def _dial(self, host: str, port: int, scheme: str) -> socket.socket:
        target = host_port(host, port)
        if (host, port) not in self._allowed:
            with self._lock:
                self.refused.add(target)
            raise Refused(403, f"{target} is no package index that this controller knows")
        try:
            way = dial((host, port), scheme)
        except OSError as error:
            raise Refused(502, f"the controller cannot reach {target}: {error}") from error
        way.settimeout(IDLE_S)
        return way


def _read_request(stream: Stream) -> Request:
    head = b""
    while b"\r\n\r\n" not in head:
        piece = stream.recv(PIECE_BYTES)
        if not piece or len(head) > HEAD_BYTES:
            raise EOFError
        head += piece
    text, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
    except ValueError:
        raise Refused(400, "this is no request") from None
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(method, target, headers, rest)


def _host_port(url: str, default: int = 0) -> Where:
    """Read where a request is to go.

    Raises:
        Refused: a host or a port is missing or cannot be one.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default
    except ValueError:
        host, port = None, 0
    if not host or not port:
        raise Refused(400, "there is no host or port in what is asked for")
    return host, port


def _refuse(stream: Stream, refused: Refused) -> None:
    text = f"{refused.text}\n".encode()
    head = f"HTTP/1.1 {refused.status} {refused.text}\r\n{refused.header}"
    ending = f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    stream.sendall((head + ending).encode() + text)


def _join(one: Stream, other: Stream) -> None:
    """Pass bytes both ways until the far end has no more."""
    back = threading.Thread(target=_pump, args=(one, other), daemon=True, name="index proxy back")
    back.start()
    _pump(other, one)
    _end(one)
    back.join(1)


def _pump(source: Stream, sink: Stream) -> None:
    with contextlib.suppress(OSError, EOFError):
        while piece := source.recv(PIECE_BYTES):
            sink.sendall(piece)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR)


def _end(stream: Stream) -> None:
    with contextlib.suppress(OSError, EOFError):
        stream.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError, EOFError):
        stream.close()
