"""Requests to a host without an answer yet, and what happens to them when the connection breaks.

Requests that were not sent yet, or may be sent twice, wait for the next connection. The others fail
at once.
"""

from __future__ import annotations

import itertools
import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ci.agent.answer_shape import nonsense_in
from ci.agent.answers import Answer, Refusal
from ci.errors import ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from ci.agent.subscriptions import Subscription, Subscriptions
    from ci.connect.connection import Channel

# Idempotent requests: they are sent again if the answer was lost with the connection. `beat` is one
# too, but its failure is how a broken connection is noticed.
REPEATABLE = frozenset(
    (
        *("accepts", "command_lines", "digest", "facts", "forget", "http", "keep", "list_files"),
        *("make_folder", "memory", "packages", "reach", "read", "runs", "source", "start"),
        *("stat_files", "stop", "truncate_part", "watch", "write"),
    )
)
MAX_ERROR_CHARS = 2000
# A request that ends every agent that reads it must not be sent for ever.
MOST_SENT = 2


@dataclass
class Request:
    """A request.

    Attributes:
        do: its name.
        frame: the bytes to send, with its data.
        times_sent: over how many connections it was sent.
        future: receives the answer or the error.
        key: the folder of the process that it starts; None for any other request.
    """

    do: str
    frame: bytes
    times_sent: int = 0
    future: Future[Answer] = field(default_factory=Future)
    key: str | None = None

    def fail(self, why: str) -> None:
        """Set ConnectionLost as the result unless there is a result; idempotent."""
        if not self.future.done():
            self.future.set_exception(ConnectionLost(why))


def split_at_break(
    pending: dict[int, Request], kept: Container[object] = ()
) -> tuple[dict[int, Request], list[Request]]:
    """Decide which requests wait when a connection breaks.

    Args:
        pending: number → request without an answer.
        kept: numbers of requests that are sent again in any case.

    Returns:
        The requests that wait for the next connection, and those that fail.
    """
    waiting = {n: item for n, item in pending.items() if n in kept or _may_be_sent(item)}
    return waiting, [item for n, item in pending.items() if n not in waiting]


def _may_be_sent(request: Request) -> bool:
    if request.times_sent == 0:
        return True
    return request.do in REPEATABLE and request.times_sent < MOST_SENT


def frames_to_send(requests: Iterable[Request]) -> list[bytes]:
    """Return the frames for a new connection, and count their requests as sent."""
    frames = []
    for request in requests:
        request.times_sent += 1
        frames.append(request.frame)
    return frames


class Requests:
    """The requests to a host, over the open channel; any thread may send requests.

    Attributes:
        trouble: why the connection is broken; empty while it is open.
        pending: number → request without an answer.
    """

    def __init__(self, host: str, channel: Channel, subscriptions: Subscriptions) -> None:
        self.trouble = ""
        self.pending: dict[int, Request] = {}
        self._host = host
        self._channel = channel
        self._subscriptions = subscriptions
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._settled = threading.Event()  # the connection is open, or lost for good
        self._settled.set()

    def ask(
        self,
        do: str,
        body: Mapping[str, object],
        data: bytes = b"",
        subscription: Subscription | None = None,
    ) -> tuple[int, Future[Answer]]:
        """Send a request, or let it wait for the next connection.

        Returns:
            Its number, and the future of its answer; every error is in the future.
        """
        head: dict[str, Any] = {"id": next(self._numbers), "do": do, **body}
        size = {"size": len(data)} if data else {}
        request = Request(do, json.dumps(head | size).encode() + b"\n" + data)
        with self._lock:
            if self._has_ended():
                request.fail(f"{self._host}: {self.trouble}")
                return head["id"], request.future
            self.pending[head["id"]] = request
            if subscription is not None:
                request.key = subscription.key
                self._subscriptions.add(subscription, head)
            if self.trouble:
                return head["id"], request.future
            channel, frames = self._channel, frames_to_send([request])
        self._send(channel, frames)
        return head["id"], request.future

    def take(self, head: dict[str, Any], data: bytes) -> None:
        """Deliver a frame: an event to its listener, a reply to its future."""
        if "event" in head:
            self._subscriptions.take_event(head, data)
        else:
            self._take_reply(head, data)

    def _take_reply(self, head: Mapping[str, Any], data: bytes) -> None:
        number = head["id"]
        if type(number) is not int:  # true and 1.0 are equal to 1
            raise TypeError(f"a reply to request {number!r:.40}")
        # Before the request is removed: an invalid reply breaks the connection, which fails the
        # pending requests.
        error = self._error_in(head)
        with self._lock:
            request = self.pending.pop(number, None)
        if request is None:
            return
        if error:
            request.future.set_exception(error)
        else:
            request.future.set_result(Answer(head.get("ok"), data))

    def _error_in(self, head: Mapping[str, Any]) -> InfrastructureError | None:
        if "error" in head:
            return InfrastructureError(f"{self._host}: {str(head['error'])[:MAX_ERROR_CHARS]}")
        if "refused" not in head:
            return None
        if why := nonsense_in("refused", head["refused"]):
            raise ValueError(f"a refusal that is malformed ({why})")
        return Refusal(self._host, head["refused"])

    def pause(self, why: str) -> None:
        """Note that the connection broke: requests that may not be sent again fail, others wait."""
        with self._lock:
            self._settled.clear()
            self.trouble = why
            self.pending, failed = split_at_break(self.pending, self._subscriptions)
        self._fail(failed, why)

    def resume(self, channel: Channel) -> None:
        """Continue over a new channel, with all subscriptions."""
        with self._lock:
            pending = self.pending.items()
            waiting = {n: request for n, request in pending if n not in self._subscriptions}
            # A process that is not started yet has no state.
            unstarted = {request.key for request in waiting.values()}
            folders = [key for key in self._subscriptions.folders() if key not in unstarted]
            frames = self._subscriptions.renewals() + frames_to_send(waiting.values())
            self._open(channel)
        self.ask("watch", {"folders": folders})
        # In another thread: this thread has to read the replies meanwhile.
        threading.Thread(target=self._send, args=(channel, frames), daemon=True).start()

    def restart(self, channel: Channel, why: str) -> None:
        """Continue over a new channel to a host that has rebooted: pending requests fail."""
        with self._lock:
            failed, self.pending = list(self.pending.values()), {}
            self._open(channel)
        self._end(failed, why, tell=True)

    def end(self, why: str, *, tell: bool) -> None:
        """Note that the connection is lost for good, or closed: pending requests fail.

        Args:
            why: the reason.
            tell: whether the listeners of the subscriptions are called, too.
        """
        with self._lock:
            if not self._has_ended():  # the first reason is the cause
                self.trouble = why
            failed, self.pending = list(self.pending.values()), {}
            self._settled.set()
        self._end(failed, why, tell=tell)

    def await_reconnect(self, within_s: float) -> bool:
        """Wait until the connection is open or lost for good; return False after the time limit."""
        return self._settled.wait(within_s)

    def _has_ended(self) -> bool:
        return bool(self.trouble) and self._settled.is_set()

    def _open(self, channel: Channel) -> None:
        self._channel, self.trouble = channel, ""
        self._settled.set()

    def _send(self, channel: Channel, frames: Sequence[bytes]) -> None:
        """Write frames to a channel; a frame that cannot be written is not sent here again."""
        try:
            for frame in frames:
                with self._sending:
                    channel.write(frame)
        except ConnectionLost:
            channel.close()  # the reader notices, and reconnects

    def _end(self, requests: Iterable[Request], why: str, *, tell: bool) -> None:
        """Fail requests after the listeners know, also when a listener raises an exception."""
        try:
            if tell:
                self._subscriptions.end(why)
        finally:
            self._fail(requests, why)

    def _fail(self, requests: Iterable[Request], why: str) -> None:
        for request in requests:
            request.fail(f"{self._host}: {why}")
