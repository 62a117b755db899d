"""Listen on ports of this host for a limited time, so that other hosts can try to reach it.

The listener is a child process with its own deadline. A random greeting distinguishes it from any
other program.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time

from ci.remote.supervise.proc import look

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, NoReturn

MAX_SECONDS = 300.0
CLOSE_S = 2.0


def open_ports(address: str, ports: List[int], seconds: float) -> Dict[str, Any]:
    """Listen on the free ones of some ports, and on another that the kernel chooses; do not wait.

    Args:
        address: numeric, because a name could take long to look up.
        ports: the ports to listen on; those that are in use are left out.
        seconds: the listener ends after so long in any case. At most five minutes.

    Returns:
        `ports`: with a listener; `ephemeral`: the port that the kernel chose; `taken`: port → why
        there is no listener; `greeting`: sent to each caller; `pid` and `began`: for `close_ports`.

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
        numbers = [listener.getsockname()[1] for listener in listeners]
        child = os.fork()
        if child == 0:
            _run_listener(listeners, greeting.encode(), seconds)
    finally:
        for listener in listeners:
            listener.close()
    process = look(str(child))
    return {
        "ports": numbers,
        "ephemeral": numbers[0],
        "taken": taken,
        "greeting": greeting,
        "pid": child,
        "began": process.began if process else None,
    }


def close_ports(pid: int, began: int) -> bool:
    """End a listener early, and return whether it has ended; idempotent."""
    until = time.monotonic() + CLOSE_S
    while True:
        process = look(str(pid))
        if process is None or process.began != began:
            return True
        if not process.alive:
            with contextlib.suppress(ChildProcessError):  # an earlier agent started it
                os.waitpid(pid, os.WNOHANG)
            return True
        if time.monotonic() > until:
            return False
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.001)


def family_of(address: str) -> int:
    """Return the family of a numeric address; OSError if it is not such an address."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    socket.inet_pton(family, address)
    return family


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _run_listener(listeners: List[socket.socket], greeting: bytes, seconds: float) -> NoReturn:
    """Be the child: greet every caller. The kernel's alarm ends it even if this loop hangs."""
    try:
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        os.setsid()
        _keep_only([listener.fileno() for listener in listeners])
        _greet_callers(listeners, greeting)
    finally:
        os._exit(0)


def _greet_callers(listeners: List[socket.socket], greeting: bytes) -> NoReturn:
    """Greet the callers. A caller closes first, so that these ports have no TIME_WAIT."""
    poll = select.poll()
    by_handle = {listener.fileno(): listener for listener in listeners}
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
    """Close all other files, above all the pipe from which the agent's reply is read."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in handles:
            with contextlib.suppress(OSError):
                os.close(int(name))
