"""Logs that are sent as they grow."""

from __future__ import annotations

import os

from ci.remote.supervise.control import dial, last_state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict

    Frame = Dict[str, Any]

PIECE_BYTES = 256 * 1024


class Follow:
    """A log, until its process has ended and the whole log is sent."""

    def __init__(self, request: Frame) -> None:
        self.id = request["id"]
        self.folder: str = request["folder"]
        self.offset = int(request.get("offset", 0))
        self.ending = False


class Follows:
    """The logs that an agent follows, by the number of the request that began each."""

    def __init__(self, send: Callable[[Frame, bytes], None]) -> None:
        self._send = send
        self._by_number: Dict[int, Follow] = {}

    def __bool__(self) -> bool:
        return bool(self._by_number)

    def begin(self, request: Frame) -> None:
        """Send a process's log as it grows, as events with this request's id."""
        self._by_number[request["id"]] = Follow(request)

    def send_growth(self) -> None:
        """Send the new lines of each log; its end after its process is complete and all is sent."""
        for follow in list(self._by_number.values()):
            self._send_growth(follow)

    def _send_growth(self, follow: Follow) -> None:
        data = growth(follow)
        if data:
            follow.offset += len(data)
            self._send({"event": "log", "follow": follow.id}, data)
        elif follow.ending:
            del self._by_number[follow.id]
            self._send({"event": "log", "follow": follow.id, "end": True}, b"")
        else:
            state = last_state(follow.folder, dial(follow.folder, "ask"))
            # Read once more after this: the process may have written its last lines in between.
            follow.ending = state["complete"] or state["state"] == "lost"


def growth(follow: Follow) -> bytes:
    """Read the new bytes of a log; empty if it does not exist yet."""
    try:
        # A log that was replaced by a FIFO must not block the loop.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        with open(os.open(os.path.join(follow.folder, "log"), flags), "rb") as file:
            file.seek(follow.offset)
            return file.read(PIECE_BYTES)
    except OSError:
        return b""
