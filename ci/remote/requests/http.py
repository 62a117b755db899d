"""One HTTP question, asked from this host; never through a proxy, and bounded as a whole."""

import http.client
import io
import json
import re
import socket
import time
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

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


def ask(
    method: str,
    url: str,
    timeout_s: float,
    wish: Optional[Dict[str, Any]] = None,
    max_bytes: int = MAX_BODY_BYTES,
) -> Dict[str, Any]:
    """Send one request.

    Args:
        method: GET or POST.
        url: http only; no redirect is followed.
        timeout_s: for the whole, also where the answer trickles.
        wish: JSON body.
        max_bytes: of the answer's body that are read.

    Returns:
        `status` (None without an answer), `body`, and `error`: in one line, why there is none.
    """
    deadline = time.monotonic() + timeout_s
    connect_s = min(CONNECT_TIMEOUT_S, timeout_s)
    try:
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=connect_s)
    except (ValueError, http.client.HTTPException) as error:
        return {"status": None, "body": "", "error": f"{url}: {why(error)}"}
    late = f"no connection within {connect_s:g} s"
    try:
        connection.connect()
        late = f"no answer within {round(timeout_s, 1):g} s"
        connection.sock.settimeout(max(deadline - time.monotonic(), 0.001))
        answer = _UntilDeadline(connection.sock, deadline)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        headers = {"Connection": "close", "Content-Type": "application/json"}
        connection.request(method, target, None if wish is None else json.dumps(wish), headers)
        reply = http.client.HTTPResponse(answer, method=method)  # type: ignore[arg-type]
        reply.begin()
        if answer.ended:  # http.client takes the end of the connection for the end of the headers
            return {"status": None, "body": "", "error": HALF}
        body = bytearray()
        # Since Python 3.13 the socket is closed as soon as the whole answer has been read.
        while len(body) < max_bytes and not reply.isclosed():
            piece = reply.read1(PIECE_BYTES)
            if not piece:
                break
            body += piece
        text = body[:max_bytes].decode("utf-8", "replace")
        short = reply.length not in {None, 0} and len(body) < max_bytes
        if short:
            return {"status": None, "body": "", "error": HALF}
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = late if _is_late(error) else why(error)
        return {"status": None, "body": "", "error": reason}
    finally:
        connection.close()
    return {"status": reply.status, "body": text, "error": ""}


def _is_late(error: Exception) -> bool:
    # Until Python 3.10 a socket's timeout was an error of its own.
    return isinstance(error, TimeoutError) or "timed out" in str(error)


def why(error: Exception) -> str:
    """Describe an error in one line, by the operating system's text where there is one."""
    if isinstance(error, http.client.IncompleteRead):
        return HALF
    if isinstance(error, (http.client.BadStatusLine, ConnectionResetError)):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
