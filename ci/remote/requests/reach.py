"""Whether one host can reach another on a port: one listens for a while, the other connects.

A listener ends by itself. A random greeting tells it from any other program.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import sys
import time

from ci.remote.supervise.proc import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NoReturn, Optional, Tuple

MAX_PARALLEL = 200  # connections under way; a process may have 1024 files open by default
GREETING_BYTES = 64
MAX_SECONDS = 300.0
CLOSE_S = 2.0
_HANG_UP = (1).to_bytes(4, sys.byteorder) + bytes(4)  # struct linger: on, for 0 s


def open_ports(address: str, ports: List[int], seconds: float) -> Dict[str, Any]:
    """Listen on the ports that are free and on one more of the kernel's choice; returns at once.

    Args:
        address: what to listen on, in numbers: a name could take long to look up.
        ports: wanted; those that another process listens on are left out.
        seconds: after which the listener ends, whatever happens. At most five minutes.

    Returns:
        `ports` that are listened on, `ephemeral` the one of them that was not asked for, `taken`
        port → why not, `greeting` that they answer with, `pid` and `began` for `close_ports`.

    Raises:
        OSError: the host cannot listen on this address at all.
    """
    seconds = min(float(seconds), MAX_SECONDS)
    listeners, taken = [_listen(address, 0)], {}
    try:
        for port in ports:
            try:
                listeners.append(_listen(address, port))
            except OSError as error:
                taken[str(port)] = os.strerror(error.errno) if error.errno else str(error)
        greeting = os.urandom(8).hex()
        numbers = [one.getsockname()[1] for one in listeners]
        child = os.fork()
        if child == 0:
            _run_listener(listeners, greeting.encode(), seconds)
    finally:
        for listener in listeners:
            listener.close()
    seen = look(str(child))
    return {
        "ports": numbers,
        "ephemeral": numbers[0],
        "taken": taken,
        "greeting": greeting,
        "pid": child,
        "began": seen.began if seen else None,
    }


def close_ports(pid: int, began: int) -> bool:
    """End a listener before its time; tells whether it is gone. One that has ended is gone."""
    until = time.monotonic() + CLOSE_S
    while True:
        seen = look(str(pid))
        if seen is None or seen.began != began:
            return True
        if not seen.alive:
            with contextlib.suppress(ChildProcessError):  # of an agent before this one
                os.waitpid(pid, os.WNOHANG)
            return True
        if time.monotonic() > until:
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def reach(targets: List[Tuple[str, int, str]], timeout_s: float) -> List[Dict[str, Any]]:
    """Try to reach every target, many at once.

    Args:
        targets: address, port, and the greeting that is expected there.
        timeout_s: how long each may take.

    Returns:
        For each target, in order: `outcome` and `detail`. Outcomes: `ok`, `refused` (nobody
        listens, or a firewall says no), `timed_out` (packets vanish), `unreachable` (no way
        there), `other` (another program answered).
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
    """One attempt: connect, then read the greeting."""

    def __init__(self, number: int, targets: List[Tuple[str, int, str]], timeout_s: float) -> None:
        address, port, greeting = targets[number]
        self.number = number
        self.expected = greeting.encode()
        self.until = time.monotonic() + timeout_s
        self.received = b""
        self.answer: Optional[Dict[str, str]] = None
        self.link: Optional[socket.socket] = None
        try:
            family, where = _resolved(address, port)
            self.link = socket.socket(family, socket.SOCK_STREAM)
            self.link.settimeout(0)
            code = self.link.connect_ex(where)
            if code not in {0, errno.EINPROGRESS}:
                self._fail(code)
        except OSError as error:  # a name that does not resolve, no address of this family
            self.answer = _answer("unreachable", error.strerror or str(error))
        if self.answer is not None:
            self.close()

    def go_on(self) -> None:
        """Something has happened to the socket: it was greeted, or there is no connection."""
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
            self.answer = _answer("other", f"somebody else answered: {text!r}")

    def give_up(self) -> None:
        """Its time is over."""
        self.answer = _answer("timed_out", "no answer at all")
        with contextlib.suppress(OSError):
            if self.link is not None and self.link.getpeername():
                self.answer = _answer("other", "it took the connection and said nothing")

    def close(self) -> None:
        """Hang up without leaving the port in TIME_WAIT: a server is to listen there soon."""
        if self.link is not None:
            with contextlib.suppress(OSError):
                self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _HANG_UP)
            self.link.close()

    def _fail(self, code: int) -> None:
        outcome = _FAILED.get(code, "unreachable")
        reason = os.strerror(code)
        self.answer = _answer(outcome, f"it hung up: {reason}" if outcome == "other" else reason)


def _answer(outcome: str, detail: str) -> Dict[str, str]:
    return {"outcome": outcome, "detail": detail}


def _resolved(address: str, port: int) -> Tuple[int, Any]:
    """Give the family and what to connect to; a name is looked up, which takes an import, too."""
    try:
        return _family(address), (address, port)
    except OSError:
        found = socket.getaddrinfo(address, port, 0, socket.SOCK_STREAM)[0]
        return found[0], found[4]


def _family(address: str) -> int:
    """Tell an address's family; OSError for what is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.inet_pton(family, address)
    return family


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(_family(address), socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _run_listener(listeners: List[socket.socket], greeting: bytes, seconds: float) -> NoReturn:
    """Be the child: greet whoever connects. The kernel's alarm ends it even if this loop hangs."""
    try:
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.setsid()
        _keep_only([one.fileno() for one in listeners])
        _greet_callers(listeners, greeting)
    finally:
        os._exit(0)


def _greet_callers(listeners: List[socket.socket], greeting: bytes) -> NoReturn:
    """Greet; the caller hangs up first, so that no TIME_WAIT stays on a port of ours."""
    poll = select.poll()
    by_handle = {one.fileno(): one for one in listeners}
    callers: Dict[int, socket.socket] = {}
    for handle in by_handle:
        poll.register(handle, select.POLLIN)
    while True:
        for handle, _ in poll.poll():
            if handle in callers:
                poll.unregister(handle)
                callers.pop(handle).close()
                continue
            with contextlib.suppress(OSError):
                caller, _ = by_handle[handle].accept()
                caller.send(greeting)
                callers[caller.fileno()] = caller
                poll.register(caller, select.POLLIN)


def _keep_only(handles: List[int]) -> None:
    """Close every other file, above all the pipe on which our parent's answer is awaited."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in handles:
            with contextlib.suppress(OSError):
                os.close(int(name))


def accepts(port: int) -> bool:
    """Whether something on this host accepts connections on a port."""
    caller = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        caller.settimeout(2)
        return caller.connect_ex(("127.0.0.1", port)) == 0
    finally:
        caller.close()
