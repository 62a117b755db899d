"""Listen on ports of this host for a limited time, so that other hosts can try to reach it.

A random greeting distinguishes these listeners from any other program. They end with the agent.
"""

from __future__ import annotations

import os
import time

from ci.remote.lean import socket, suppress
from ci.remote.requests.reach import family_of
from ci.remote.supervise.control import accept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List

    from ci.remote.poller import Poller

MAX_SECONDS = 300.0


class Listeners:
    """The listeners of an agent, by their greeting. All methods are called from the loop."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._open: Dict[str, _Group] = {}

    def open(self, address: str, ports: List[int], seconds: float) -> Dict[str, Any]:
        """Listen on the free ones of some ports, and on another that the kernel chooses.

        Args:
            address: numeric, because a name could take long to look up.
            ports: the ports to listen on; those that are in use are left out.
            seconds: the listeners end after so long. At most five minutes.

        Returns:
            `ports`: with a listener; `ephemeral`: the port that the kernel chose; `taken`: port →
            why there is no listener; `greeting`: sent to each caller, and for `close`.

        Raises:
            OSError: the host cannot listen on this address at all.
        """
        listeners, taken = [_listen(address, 0)], {}
        for port in ports:
            try:
                listeners.append(_listen(address, port))
            except OSError as error:
                taken[str(port)] = os.strerror(error.errno) if error.errno else str(error)
        numbers = [listener.getsockname()[1] for listener in listeners]
        greeting = os.urandom(8).hex()
        until = time.monotonic() + min(float(seconds), MAX_SECONDS)
        self._open[greeting] = _Group(self._poller, listeners, greeting.encode(), until)
        return {"ports": numbers, "ephemeral": numbers[0], "taken": taken, "greeting": greeting}

    def close(self, greeting: str) -> None:
        """End the listeners with this greeting; idempotent."""
        group = self._open.pop(greeting, None)
        if group:
            group.close()

    def close_overdue(self) -> None:
        """End the listeners whose time is over."""
        now = time.monotonic()
        for greeting in [greeting for greeting, group in self._open.items() if group.until <= now]:
            self.close(greeting)


class _Group:
    """Sockets that listen, and the callers that were greeted."""

    def __init__(
        self, poller: Poller, listeners: List[socket.socket], greeting: bytes, until: float
    ) -> None:
        self.until = until
        self._poller = poller
        self._greeting = greeting
        self._sockets: Dict[int, socket.socket] = {}
        for listener in listeners:
            self._add(listener, lambda listener=listener: self._greet(listener))  # type: ignore[misc]

    def close(self) -> None:
        for handle in list(self._sockets):
            self._remove(handle)

    def _greet(self, listener: socket.socket) -> None:
        """Greet a caller. It closes first, so that these ports have no TIME_WAIT."""
        with suppress(OSError):
            caller = accept(listener)
            handle = caller.fileno()
            self._add(caller, lambda: self._remove(handle))
            caller.send(self._greeting)

    def _add(self, link: socket.socket, callback: Callable[[], None]) -> None:
        self._sockets[link.fileno()] = link
        self._poller.register(link.fileno(), callback)

    def _remove(self, handle: int) -> None:
        self._poller.unregister(handle)
        self._sockets.pop(handle).close()


def _listen(address: str, port: int) -> socket.socket:
    listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(1024)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener
