"""Whether this host can reach other hosts on ports where `loop/listeners.py` listens."""

from __future__ import annotations

import errno
import os
import select
import sys
import time

from ci.remote.lean import socket, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Tuple

MAX_PARALLEL = 200  # connections under way; a process may have 1024 files open by default
GREETING_BYTES = 64
_HANG_UP = (1).to_bytes(4, sys.byteorder) + bytes(4)  # struct linger: on, for 0 s


def reach(targets: List[Tuple[str, int, str]], timeout_s: float) -> List[Dict[str, Any]]:
    """Try to reach every target, many at once.

    Args:
        targets: address, port, and the greeting that is expected there.
        timeout_s: limit for each target.

    Returns:
        For each target, in order: `outcome` and `detail`. Outcomes: `ok`; `refused`, no listener
        or a firewall that rejects; `timed_out`, packets are lost; `unreachable`, no route; and
        `other`, another program answered.
    """
    answers: List[Optional[Dict[str, str]]] = [None] * len(targets)
    waiting = list(range(len(targets)))[::-1]
    calls: Dict[int, _Call] = {}
    poll = select.poll()
    while waiting or calls:
        while waiting and len(calls) < MAX_PARALLEL:
            call = _Call(waiting.pop(), targets, timeout_s)
            if call.answer is None and call.link is not None:
                calls[call.link.fileno()] = call
                poll.register(call.link, select.POLLIN)
            answers[call.number] = call.answer
        pause_s = min((call.until for call in calls.values()), default=0.0) - time.monotonic()
        ready = dict(poll.poll(max(0.0, pause_s) * 1000) if calls else ())
        for handle, call in list(calls.items()):
            if handle in ready:
                call.go_on()
            elif time.monotonic() >= call.until:
                call.give_up()
            if call.answer is not None:
                poll.unregister(handle)
                del calls[handle]
                call.close()
                answers[call.number] = call.answer
    return [answer or _answer("unreachable", "it was not tried") for answer in answers]


_FAILED = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "other",
    errno.ETIMEDOUT: "timed_out",
}


class _Call:
    """An attempt: connect, then read the greeting."""

    def __init__(self, number: int, targets: List[Tuple[str, int, str]], timeout_s: float) -> None:
        address, port, greeting = targets[number]
        self.number = number
        self.expected = greeting.encode()
        self.until = time.monotonic() + timeout_s
        self.received = b""
        self.answer: Optional[Dict[str, str]] = None
        self.link: Optional[socket.socket] = None
        try:
            family, target = _resolved(address, port)
            self.link = socket.socket(family, socket.SOCK_STREAM)
            self.link.settimeout(0)
            code = self.link.connect_ex(target)
            if code not in {0, errno.EINPROGRESS}:
                self._fail(code)
        except OSError as error:  # a name that does not resolve, no address of this family
            self.answer = _answer("unreachable", error.strerror or str(error))
        if self.answer is not None:
            self.close()

    def go_on(self) -> None:
        """Read from a socket that is ready: the greeting, or an error."""
        if self.link is None:
            return
        try:
            piece = self.link.recv(GREETING_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(error.errno or 0)
            return
        self.received += piece
        if self.received == self.expected:
            self.answer = _answer("ok", "")
        elif not piece or not self.expected.startswith(self.received):
            text = self.received[:GREETING_BYTES].decode("utf-8", "replace")
            self.answer = _answer("other", f"another program answered: {text!r}")

    def give_up(self) -> None:
        """Set the answer after the time limit."""
        self.answer = _answer("timed_out", "no answer at all")
        with suppress(OSError):
            if self.link is not None and self.link.getpeername():
                self.answer = _answer("other", "it accepted the connection and sent nothing")

    def close(self) -> None:
        """Close without a TIME_WAIT on the port: a server has to listen there soon."""
        if self.link is not None:
            with suppress(OSError):
                self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
            self.link.close()

    def _fail(self, code: int) -> None:
        outcome = _FAILED.get(code, "unreachable")
        reason = os.strerror(code)
        self.answer = _answer(outcome, f"it hung up: {reason}" if outcome == "other" else reason)


def _answer(outcome: str, detail: str) -> Dict[str, str]:
    return {"outcome": outcome, "detail": detail}


def family_of(address: str) -> int:
    """Return the family of a numeric address; OSError if it is not such an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.inet_pton(family, address)
    return family


def _resolved(address: str, port: int) -> Tuple[int, Any]:
    """Return the family and the socket address; a name is looked up, which needs an import, too."""
    try:
        return family_of(address), (address, port)
    except OSError:
        resolved = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0]
        return resolved[0], resolved[4]


def accepts(port: int) -> bool:
    """Return whether a program on this host accepts connections on a port."""
    caller = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        caller.settimeout(2)
        return caller.connect_ex(("127.0.0.1", port)) == 0
    finally:
        caller.close()
