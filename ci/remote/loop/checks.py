"""HTTP requests that are repeated on this host; only changes of their outcome are reported."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, Optional

    from ci.remote.loop.workers import Workers

    Frame = Dict[str, Any]


class RepeatedCheck:
    """A repeated request, and the outcome that was last reported."""

    def __init__(self, request: Frame) -> None:
        self.id = request["id"]
        self.question = request["question"]
        self.every_s = float(request["every_s"])
        self.times = int(request["times"])
        self.due = time.monotonic()
        self.busy = False
        self.reported: object = "nothing"
        self.last: object = "nothing"
        self.count = 0

    def changed(self, reply: Frame) -> bool:
        """Take a reply; return whether its outcome is new, and the same `times` times in a row."""
        now = (reply["status"], reply.get("untrusted"))
        self.count = self.count + 1 if now == self.last else 1
        self.last = now
        if self.count < self.times or self.last == self.reported:
            return False
        self.reported = self.last
        return True


class Checks:
    """The repeated checks of an agent, by the number of the request that began each."""

    def __init__(self, workers: Workers, send: Callable[[Frame], None]) -> None:
        self._workers = workers
        self._send = send
        self._by_number: Dict[int, RepeatedCheck] = {}

    def begin(self, request: Frame) -> None:
        """Begin a check; changes are sent as events with this request's id."""
        self._by_number[request["id"]] = RepeatedCheck(request)

    def end(self, number: int) -> None:
        """End a check; idempotent."""
        self._by_number.pop(number, None)

    def next_due(self) -> Optional[float]:
        """Return the monotonic time of the next request; None if all checks are busy."""
        due = [check.due for check in self._by_number.values() if not check.busy]
        return min(due, default=None)

    def run_due(self) -> None:
        """Send the requests that are due."""
        for check in self._by_number.values():
            if not check.busy and time.monotonic() >= check.due:
                check.busy = True
                question = dict(check.question, do="http", id=check.id)
                self._workers.do(question, self._take_reply)

    def _take_reply(self, reply: Frame) -> None:
        check = self._by_number.get(reply["id"])
        if check is None:
            return
        check.busy, check.due = False, time.monotonic() + check.every_s
        received = reply.get("ok")
        if received is not None and check.changed(received):
            self._send({"event": "check", "check": check.id, "reply": received})
