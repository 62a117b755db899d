"""An HTTP proxy to package indexes for a host, served through its tunnel; it opens no port.

It requires a password that is new for each tunnel, and connects only to allowed hosts. So a host's
other users, and code that runs while a package is built, cannot reach this machine's network.
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
from ci.prepare.outbound import PORTS, dial, proxy_authorization, proxy_for
from ci.prepare.wheel_folder import LINKS, answer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from ci.prepare.outbound import HostPort

USER = "lamplighter"
HEAD_BYTES = 64 * 1024
CHUNK_BYTES = 64 * 1024
IDLE_S = 300.0
MAX_CONNECTIONS = 64


class Stream(Protocol):
    """A connection, such as a socket or a paramiko channel."""

    def recv(self, nbytes: int, /) -> bytes:
        """Wait for bytes; empty at the end of the stream."""

    def sendall(self, data: bytes, /) -> None:
        """Send all bytes."""

    def settimeout(self, timeout: float, /) -> None:
        """Set the time limit of each wait, in seconds."""

    def shutdown(self, how: int, /) -> None:
        """Close one direction, or both."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True)
class Request:
    """An HTTP request: its head, and the bytes received after it."""

    method: str
    target: str
    headers: Mapping[str, str]
    rest: bytes


class HttpError(Exception):
    """An HTTP error response to a request."""

    def __init__(self, status: int, text: str, header: str = "") -> None:
        super().__init__(text)
        self.status, self.text, self.header = status, text, header


class IndexProxy:
    """The proxy to package indexes of a host.

    Attributes:
        refused: `host:port` of requests that were refused.
    """

    def __init__(self, allowed: frozenset[HostPort], folders: Mapping[str, Path]) -> None:
        """Make a proxy with a new password.

        Args:
            allowed: hosts and ports that it may connect to.
            folders: name → folder of wheels to serve below `LINKS`.
        """
        self.refused: set[str] = set()
        self._allowed, self._folders = allowed, folders
        self._password = secrets.token_urlsafe(18)
        self._lock = threading.Lock()
        self._open: set[Stream] = set()
        self._closed = False

    def url(self, port: int) -> str:
        """Return the proxy's URL for the host, for a port there; a secret."""
        return f"http://{USER}:{self._password}@127.0.0.1:{port}"

    def take(self, stream: Stream) -> None:
        """Serve a connection in a new thread."""
        with self._lock:
            full = self._closed or len(self._open) >= MAX_CONNECTIONS
            if not full:
                self._open.add(stream)
        work = stream.close if full else lambda: self._serve(stream)
        threading.Thread(target=work, daemon=True, name="index proxy").start()

    def close(self) -> None:
        """Close every connection, and accept no more."""
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
                except HttpError as error:
                    _send_error(stream, error)
        finally:  # after any error, another connection may take the place
            _end(stream)
            with self._lock:
                self._open.discard(stream)

    def _answer(self, stream: Stream, request: Request) -> None:
        received = request.headers.get("proxy-authorization", "")
        credentials = base64.b64encode(f"{USER}:{self._password}".encode()).decode()
        if not hmac.compare_digest(received.encode(), f"Basic {credentials}".encode()):
            reason = "Proxy Authentication Required"
            raise HttpError(407, reason, "Proxy-Authenticate: Basic\r\n")
        if request.target.startswith(LINKS):
            answer(stream, request.method, request.target, request.headers, self._folders)
        elif request.method == "CONNECT":
            self._connect(stream, request)
        else:
            self._forward(stream, request)

    def _connect(self, stream: Stream, request: Request) -> None:
        with self._dial(*_host_port(f"//{request.target}"), "https") as upstream:
            stream.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            if request.rest:
                upstream.sendall(request.rest)
            _join(stream, upstream)

    def _forward(self, stream: Stream, request: Request) -> None:
        """Forward a plain HTTP request; the connection ends after the response."""
        if not request.target.startswith("http://"):
            raise HttpError(400, "expected an http:// URL or CONNECT")
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
        with self._dial(host, port, "http") as upstream:
            head += proxy_authorization(host, "http") if proxied else []
            upstream.sendall(
                "\r\n".join([*head, "connection: close", "", ""]).encode() + request.rest
            )
            _join(stream, upstream)

    def _dial(self, host: str, port: int, scheme: str) -> socket.socket:
        target = host_port(host, port)
        if (host, port) not in self._allowed:
            with self._lock:
                self.refused.add(target)
            raise HttpError(403, f"{target} is not a package index that this controller knows")
        try:
            upstream = dial((host, port), scheme)
        except OSError as error:
            raise HttpError(502, f"the controller cannot reach {target}: {error}") from error
        upstream.settimeout(IDLE_S)
        return upstream


def _read_request(stream: Stream) -> Request:
    head = b""
    while b"\r\n\r\n" not in head:
        chunk = stream.recv(CHUNK_BYTES)
        if not chunk or len(head) > HEAD_BYTES:
            raise EOFError
        head += chunk
    text, _, rest = head.partition(b"\r\n\r\n")
    first, *lines = text.decode("latin-1").split("\r\n")
    try:
        method, target, _ = first.split(" ")
    except ValueError:
        raise HttpError(400, "not an HTTP request") from None
    pairs = (line.partition(":") for line in lines)
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Request(method, target, headers, rest)


def _host_port(url: str, default: int = 0) -> HostPort:
    """Return the host and port of a request's target.

    Raises:
        HttpError: the host or the port is missing or invalid.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or default
    except ValueError:
        host, port = None, 0
    if not host or not port:
        raise HttpError(400, "the target has no valid host and port")
    return host, port


def _send_error(stream: Stream, error: HttpError) -> None:
    text = f"{error.text}\n".encode()
    head = f"HTTP/1.1 {error.status} {error.text}\r\n{error.header}"
    ending = f"Content-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    stream.sendall((head + ending).encode() + text)


def _join(client: Stream, upstream: Stream) -> None:
    """Copy bytes in both directions until the upstream ends."""
    sending = threading.Thread(
        target=_copy, args=(client, upstream), daemon=True, name="index proxy sending"
    )
    sending.start()
    _copy(upstream, client)
    _end(client)
    sending.join(1)


def _copy(source: Stream, sink: Stream) -> None:
    with contextlib.suppress(OSError, EOFError):
        while chunk := source.recv(CHUNK_BYTES):
            sink.sendall(chunk)
    with contextlib.suppress(OSError, EOFError):
        sink.shutdown(socket.SHUT_WR)


def _end(stream: Stream) -> None:
    with contextlib.suppress(OSError, EOFError):
        stream.shutdown(socket.SHUT_RDWR)
    with contextlib.suppress(OSError, EOFError):
        stream.close()
