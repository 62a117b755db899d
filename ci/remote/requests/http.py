"""One HTTP question, asked from this host; never through a proxy, and bounded as a whole."""

import http.client
import io
import json
import re
import socket
import time
from typing import Any, Dict, Optional
from urllib.parse import SplitResult, urlsplit

CONNECT_TIMEOUT_S = 2.0
MAX_BODY_BYTES = 200_000
PIECE_BYTES = 65_536
# X509_V_FLAG_PARTIAL_CHAIN: a certificate in the file is trusted without its authority's.
PARTIAL_CHAIN = 0x80000
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


def ask(  # noqa: PLR0913, PLR0917 - a request's own fields, by name
    method: str,
    url: str,
    timeout_s: float,
    wish: Optional[Dict[str, Any]] = None,
    max_bytes: int = MAX_BODY_BYTES,
    key: str = "",
    trust: str = "",
) -> Dict[str, Any]:
    """Send one request.

    Args:
        method: GET or POST.
        url: http or https; no redirect is followed.
        timeout_s: for the whole, also where the answer trickles.
        wish: JSON body.
        max_bytes: of the answer's body that are read.
        key: the server's API key; empty for none.
        trust: for https, the file on this host with the certificate that the server must have, or
            with its authority's; empty for the host's own authorities.

    Returns:
        `status` (None without an answer), `body`, and `error`: in one line, why there is none.
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
        answer = _UntilDeadline(connection.sock, deadline)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        headers = {"Connection": "close", "Content-Type": "application/json"}
        if key:
            headers["Authorization"] = "Bearer " + key
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


def connection_to(parts: SplitResult, connect_s: float, trust: str) -> http.client.HTTPConnection:
    """Make the connection, which is not open yet."""
    host = parts.hostname or ""
    if parts.scheme != "https":
        return http.client.HTTPConnection(host, parts.port, timeout=connect_s)
    import ssl  # noqa: PLC0415 - few need it

    try:
        context = ssl.create_default_context(cafile=trust or None)
    except OSError as error:
        raise ValueError("certificate %s: %s" % (trust, why(error))) from None
    if trust:
        # The file has the server's own certificate: only that server has it, whatever its name is.
        context.check_hostname = False
        context.verify_flags |= PARTIAL_CHAIN
    return http.client.HTTPSConnection(host, parts.port, timeout=connect_s, context=context)


def _is_late(error: Exception) -> bool:
    # Until Python 3.10 a socket's timeout was an error of its own.
    return isinstance(error, TimeoutError) or "timed out" in str(error)


def why(error: Exception) -> str:
    """Describe an error in one line, by the operating system's text where there is one."""
    if isinstance(error, http.client.IncompleteRead):
        return HALF
    if isinstance(error, (http.client.BadStatusLine, ConnectionResetError)):
        return "the connection was closed without an answer"
    detail = getattr(error, "verify_message", "")
    if detail:
        return "the server's certificate is refused: %s" % detail
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
