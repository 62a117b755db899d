"""Send an HTTP request from this host; never through a proxy, and with a limit for the whole."""

import http.client
import io
import json
import re
import socket
import time
from typing import Any, Dict, Optional, Tuple
from urllib.parse import SplitResult, urlsplit

CONNECT_TIMEOUT_S = 2.0
MAX_BODY_BYTES = 200_000
PIECE_BYTES = 65_536
HALF = "the answer stopped half-way"


class _UntilDeadline(io.RawIOBase):
    """Read from a socket until the deadline; a socket's own timeout starts again at every byte."""

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock, self._deadline = sock, deadline
        self._file = sock.makefile("rb", buffering=0)
        self.ended = False

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the file from which `http.client` reads; it takes this object for a socket."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> Optional[int]:  # noqa: ANN401 - a buffer
        """Read what has arrived."""
        left_s = self._deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._sock.settimeout(left_s)
        count = self._file.readinto(buffer)
        self.ended = count == 0
        return count

    def close(self) -> None:
        """Release the socket."""
        self._file.close()
        super().close()


def ask(  # noqa: PLR0913, PLR0917 - the fields of a request
    method: str,
    url: str,
    timeout_s: float,
    body: Optional[Dict[str, Any]] = None,
    max_bytes: int = MAX_BODY_BYTES,
    key: str = "",
    trust: str = "",
) -> Dict[str, Any]:
    """Send a request.

    Args:
        method: GET or POST.
        url: http or https; redirects are not followed.
        timeout_s: limit for the whole exchange, also if the reply arrives byte by byte.
        body: JSON body.
        max_bytes: how much of the reply's body is read.
        key: the server's API key; empty for none.
        trust: for https, the file on this host that verifies the server's certificate; empty for
            the host's own authorities.

    Returns:
        `status` (None without a reply), `body`, and `error`: in one line, why there is no reply.
        `untrusted`, if there will never be a reply: `dates`, `authority` or `name` of the
        certificate, its `file`, `plain` for http, or `other`.
    """
    deadline = time.monotonic() + timeout_s
    connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
    try:
        parts = urlsplit(url)
        connection = connection_to(parts, connect_s, trust)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return {"status": None, "body": "", "error": f"{url}: {why(error)}"}
    late = f"no connection within {connect_s:g} s"
    try:
        connection.connect()
        late = f"no answer within {round(timeout_s, 1):g} s"
        connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        received = _UntilDeadline(connection.sock, deadline)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        headers = {"Connection": "close", "Content-Type": "application/json"}
        if key:
            headers["Authorization"] = "Bearer " + key
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        status, text = _read_reply(received, method, max_bytes)
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = late if _is_late(error) else why(error)
        kind = getattr(error, "untrusted", "")
        return dict(
            {"status": None, "body": "", "error": reason}, **{"untrusted": kind} if kind else {}
        )
    finally:
        connection.close()
    return {"status": status, "body": text, "error": ""}


def _read_reply(received: _UntilDeadline, method: str, max_bytes: int) -> Tuple[int, str]:
    """Return the status and the body; raise IncompleteRead if the reply ends early."""
    reply = http.client.HTTPResponse(received, method=method)  # type: ignore[arg-type]
    reply.begin()
    if received.ended:  # http.client takes the end of the connection for the end of the headers
        raise http.client.IncompleteRead(b"")
    body = bytearray()
    # Since Python 3.13 the socket is closed as soon as the whole reply has been read.
    while len(body) < max_bytes and not reply.isclosed():
        piece = reply.read1(PIECE_BYTES)
        if not piece:
            break
        body += piece
    if reply.length not in {None, 0} and len(body) < max_bytes:
        raise http.client.IncompleteRead(b"")
    return reply.status, body[:max_bytes].decode("utf-8", "replace")


def connection_to(parts: SplitResult, connect_s: float, trust: str) -> http.client.HTTPConnection:
    """Create the connection; `connect` opens it."""
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=connect_s)
    from ci.remote.requests.https import Verified  # noqa: PLC0415 - seldom needed

    return Verified(host, parts.port, connect_s, trust)


def _is_late(error: Exception) -> bool:
    # Until Python 3.9 socket.timeout was not a TimeoutError.
    return isinstance(error, TimeoutError) or "timed out" in str(error)


def why(error: Exception) -> str:
    """Describe an error in one line, with the operating system's text if there is any."""
    if isinstance(error, http.client.IncompleteRead):
        return HALF
    if isinstance(error, (http.client.BadStatusLine, ConnectionResetError)):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
