"""Processes whose states are reported as they change, and messages to their supervisors."""

from __future__ import annotations

from ci.remote.lean import json
from ci.remote.supervise.control import MESSAGE_BYTES, dial, last_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Callable, Dict

    from ci.remote.poller import Poller
    from ci.remote.supervise.store import State

    Frame = Dict[str, Any]


class Watches:
    """The connections to supervisors, by the folder of their process."""

    def __init__(self, poller: Poller, send: Callable[[Frame], None]) -> None:
        self._poller = poller
        self._send = send
        self._by_folder: Dict[str, socket.socket] = {}

    def begin(self, folder: str) -> None:
        """Report every state of a process from now on."""
        supervisor = dial(folder, "ask")
        if supervisor is None:
            self._send_state(folder, last_state(folder))
            return
        supervisor.settimeout(0)
        self._by_folder[folder] = supervisor
        self._poller.register(supervisor.fileno(), lambda: self._take_state(folder))

    def send_all(self, message: str) -> None:
        """Send a message to the supervisor of every watched process."""
        for folder, supervisor in list(self._by_folder.items()):
            try:
                supervisor.send(message.encode())
            except OSError:
                self._take_state(folder)

    def _take_state(self, folder: str) -> None:
        """Report the state that a supervisor sent, or the last written state if it has ended."""
        try:
            text = self._by_folder[folder].recv(MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            text = b""
        state = json.loads(text) if text else last_state(folder)
        if not text or state["complete"]:
            supervisor = self._by_folder.pop(folder)
            self._poller.unregister(supervisor.fileno())
            supervisor.close()
        self._send_state(folder, state)

    def _send_state(self, folder: str, state: State) -> None:
        self._send({"event": "state", "folder": folder, "state": state})
