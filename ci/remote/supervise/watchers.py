"""The agents that watch a process through the control socket of its supervisor."""

from __future__ import annotations

from ci.remote.lean import json, suppress
from ci.remote.supervise.control import MESSAGE_BYTES, accept, listen

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Callable, Dict, List

    from ci.remote.poller import Poller
    from ci.remote.supervise.store import State


class Watchers:
    """The connections to a control socket: they receive every state, and send messages."""

    def __init__(
        self, folder: str, poller: Poller, state: State, take_message: Callable[[List[str]], None]
    ) -> None:
        """Open the control socket.

        Args:
            folder: the process's folder.
            poller: of the supervisor's loop.
            state: the supervisor's own; `ask` is answered with it.
            take_message: called with the words of every other message.
        """
        self._poller = poller
        self._state = state
        self._take_message = take_message
        self._open: Dict[int, socket.socket] = {}
        self._listener = listen(folder)
        poller.register(self._listener.fileno(), self._accept)

    def send_state(self) -> None:
        """Send the state to every watcher."""
        for watcher in list(self._open.values()):
            self._send_state(watcher)

    def _send_state(self, watcher: socket.socket) -> None:
        try:
            watcher.send(json.dumps(self._state).encode())
        except OSError:
            self._drop(watcher)

    def _accept(self) -> None:
        with suppress(OSError):
            watcher = accept(self._listener)
            self._open[watcher.fileno()] = watcher
            self._poller.register(watcher.fileno(), lambda: self._read(watcher))

    def _read(self, watcher: socket.socket) -> None:
        try:
            words = watcher.recv(MESSAGE_BYTES).decode().split()
        except OSError:
            words = []
        if not words:
            self._drop(watcher)
        elif words[0] == "ask":
            self._send_state(watcher)
        else:
            self._take_message(words)

    def _drop(self, watcher: socket.socket) -> None:
        if self._open.pop(watcher.fileno(), None):
            self._poller.unregister(watcher.fileno())
        watcher.close()
