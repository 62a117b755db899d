"""Whether one host can reach another on a port: one listens for a while, the other connects.

A listener ends by itself. What answers is told from anybody else by a word that only we know.
"""

import contextlib
import errno
import os
import select
import signal
import socket
import time
from typing import Any, Dict, List, NoReturn, Optional, Tuple

from ci.hosts.remote.proc import look

AT_ONCE = 200  # connections under way; a process may have 1024 files open by default
GREETING_BYTES = 64
MOST_SECONDS = 300.0
CLOSE_S = 2.0
_TIMED_OUT = {errno.ETIMEDOUT}
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET}


def open_ports(address: str, ports: List[int], seconds: float) -> Dict[str, Any]:
    """Listen on the ports that are free and on one more of the kernel's choice; returns at once.

    Args:
        address: what to listen on.
        ports: wanted; those that somebody else listens on are left out.
        seconds: after which the listener ends, whatever happens. At most five minutes.

    Returns:
        `ports` that are listened on, `ephemeral` the one of them that was not asked for, `taken`
        port → why not, `greeting` that they answer with, `pid` and `began` for `close_ports`.

    Raises:
        OSError: the host cannot listen on this address at all.
    """
    seconds = min(float(seconds), MOST_SECONDS)
    with contextlib.ExitStack() as stack:
        spare = stack.enter_context(_listen(address, 0))
        ears, taken = [spare], {}
        for port in ports:
            try:
                ears.append(stack.enter_context(_listen(address, port)))
            except OSError as error:
                taken[str(port)] = os.strerror(error.errno) if error.errno else str(error)
        greeting = os.urandom(8).hex()
        numbers = [one.getsockname()[1] for one in ears]
        child = os.fork()
        if child == 0:
            _be_listener(ears, greeting.encode(), seconds)
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
        if seen is None or not seen.alive or seen.began != began:
            return True
        if time.monotonic() > until:
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)


def reach(targets: List[Tuple[str, int, str]], timeout_s: float) -> List[Dict[str, Any]]:
    """Try to reach every target, many at once.

    Args:
        targets: address, port, and the greeting that is expected there.
        timeout_s: how long each may take.

    Returns:
        For each target, in order: `outcome` and `detail`. Outcomes: `ok`, `refused` (nobody
        listens, or a firewall says no), `timed_out` (packets vanish), `unreachable` (no way
        there), `other` (somebody else answered).
    """
    answers: List[Optional[Dict[str, str]]] = [None] * len(targets)
    waiting = list(range(len(targets)))[::-1]
    calls: Dict[int, _Call] = {}
    poll = select.poll()
    while waiting or calls:
        while waiting and len(calls) < AT_ONCE:
            call = _Call(waiting.pop(), targets, timeout_s)
            if call.answer is None and call.link is not None:
                calls[call.link.fileno()] = call
                poll.register(call.link, select.POLLOUT)
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
            elif call.connected:
                poll.modify(handle, select.POLLIN)
    return [answer or _said("unreachable", "it was not tried") for answer in answers]


class _Call:
    """One attempt: connect, then read the greeting."""

    def __init__(self, number: int, targets: List[Tuple[str, int, str]], timeout_s: float) -> None:
        address, port, greeting = targets[number]
        self.number = number
        self.expected = greeting.encode()
        self.until = time.monotonic() + timeout_s
        self.connected = False
        self.heard = b""
        self.answer: Optional[Dict[str, str]] = None
        self.link: Optional[socket.socket] = None
        try:
            family, kind, protocol, _, where = socket.getaddrinfo(
                address, port, type=socket.SOCK_STREAM
            )[0]
            self.link = socket.socket(family, kind, protocol)
            self.link.settimeout(0)
            self._judge(self.link.connect_ex(where))
        except OSError as error:  # a name that does not resolve, no address of this family
            self.answer = _said("unreachable", error.strerror or str(error))
        if self.answer is not None:
            self.close()

    def go_on(self) -> None:
        """Something has happened to the socket."""
        if self.link is None:
            return
        if not self.connected:
            self._judge(self.link.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            return
        try:
            piece = self.link.recv(GREETING_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.answer = _said("other", f"it hung up: {error.strerror}")
            return
        self.heard += piece
        if self.heard == self.expected:
            self.answer = _said("ok", "")
        elif not piece or not self.expected.startswith(self.heard):
            text = self.heard[:GREETING_BYTES].decode("utf-8", "replace")
            self.answer = _said("other", f"somebody else answered: {text!r}")

    def give_up(self) -> None:
        """Its time is over."""
        said = _said("other", "it took the connection and said nothing")
        self.answer = said if self.connected else _said("timed_out", "no answer at all")

    def close(self) -> None:
        """Hang up without leaving the port in TIME_WAIT: a server is to listen there soon."""
        if self.link is not None:
            with contextlib.suppress(OSError):
                self.link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.link.close()

    def _judge(self, code: int) -> None:
        if code == 0:
            self.connected = True
        elif code in _REFUSED:
            self.answer = _said("refused", os.strerror(code))
        elif code in _TIMED_OUT:
            self.answer = _said("timed_out", os.strerror(code))
        elif code != errno.EINPROGRESS:
            self.answer = _said("unreachable", os.strerror(code))


def _said(outcome: str, detail: str) -> Dict[str, str]:
    return {"outcome": outcome, "detail": detail}


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    ear = socket.socket(family, socket.SOCK_STREAM)
    try:
        ear.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ear.bind((address, port))
        ear.listen(1024)
    except OSError:
        ear.close()
        raise
    return ear


def _be_listener(ears: List[socket.socket], greeting: bytes, seconds: float) -> NoReturn:
    """Be the child: greet whoever connects. The kernel's alarm ends it even if this loop hangs."""
    try:
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.setsid()
        _keep_only([one.fileno() for one in ears])
        _greet_for_ever(ears, greeting)
    finally:
        os._exit(0)


def _greet_for_ever(ears: List[socket.socket], greeting: bytes) -> NoReturn:
    """Greet; the caller hangs up first, so that no TIME_WAIT stays on a port of ours."""
    poll = select.poll()
    by_handle = {one.fileno(): one for one in ears}
    listening = set(by_handle)
    for handle in listening:
        poll.register(handle, select.POLLIN)
    while True:
        for handle, _ in poll.poll():
            if handle not in listening:
                poll.unregister(handle)
                by_handle.pop(handle).close()
                continue
            with contextlib.suppress(OSError):
                caller = by_handle[handle].accept()[0]
                caller.settimeout(0)
                caller.send(greeting)
                by_handle[caller.fileno()] = caller
                poll.register(caller, select.POLLIN)


def _keep_only(handles: List[int]) -> None:
    """Close every other file, above all the pipe on which our parent's answer is awaited."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in handles:
            with contextlib.suppress(OSError):
                os.close(int(name))


def accepts(port: int) -> bool:
    """Whether something on this host accepts connections on a port."""
    with socket.socket() as caller:
        caller.settimeout(2)
        return caller.connect_ex(("127.0.0.1", port)) == 0
