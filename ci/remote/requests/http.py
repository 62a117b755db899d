"""One HTTP question, asked from this host; never through a proxy, and bounded as a whole."""

import http.client
import json
import re
import time
from typing import Any, Dict, Optional
from urllib.parse import urlsplit

CONNECT_TIMEOUT_S = 2.0
MAX_BODY_BYTES = 200_000
PIECE_BYTES = 65_536


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
        sock = connection.sock
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        headers = {"Connection": "close", "Content-Type": "application/json"}
        connection.request(method, target, None if wish is None else json.dumps(wish), headers)
        reply = connection.getresponse()
        body = bytearray()
        # Since Python 3.13 the socket is closed as soon as the whole answer has been read.
        while len(body) < max_bytes and not reply.isclosed():
            # The socket's own timeout starts again at every byte.
            sock.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = reply.read1(PIECE_BYTES)
            if not piece:
                break
            body += piece
        text = body[:max_bytes].decode("utf-8", "replace")
        short = reply.length not in {None, 0} and len(body) < max_bytes
        if short:
            return {"status": None, "body": "", "error": "the answer stopped half-way"}
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
        return "the answer stopped half-way"
    if isinstance(error, (http.client.BadStatusLine, ConnectionResetError)):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return re.sub(r"\s+", " ", str(error)).strip()[:200] or type(error).__name__
