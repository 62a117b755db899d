"""Requests to a host that have no answer yet, and which of them outlive a broken connection.

What was not sent yet, or may be sent twice, waits for the next connection; the rest fails at once.
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

# What may be asked again when the answer was lost with the connection; the same result twice.
REPEATABLE = frozenset(
    (
        *("digest", "facts", "http", "list_files", "make_folder", "memory", "packages", "read"),
        *("runs", "source", "stop", "watch", "write"),
    )
)
MAX_ERROR_CHARS = 2000
# A request that ends every agent that reads it must not be sent for ever.
MOST_SENT = 2


@dataclass
class Request:
    """One request.

    Attributes:
        do: what is asked for.
        frame: as it is sent, its data included.
        times_sent: over how many connections; 0 while it waits for the first.
        future: gets the answer, or why there is none.
        key: the folder of the process that it starts, if it starts one.
    """

    do: str
    frame: bytes
    times_sent: int = 0
    future: Future[Answer] = field(default_factory=Future)
    key: str | None = None

    def fail(self, why: str) -> None:
        """Fail with ConnectionLost unless it is answered; idempotent."""
        if not self.future.done():
            self.future.set_exception(ConnectionLost(why))


def split_at_break(
    pending: dict[int, Request], kept: Container[object] = ()
) -> tuple[dict[int, Request], list[Request]]:
    """Decide what becomes of each request when a connection breaks.

    Args:
        pending: number → request without an answer.
        kept: numbers that are sent again in any case.

    Returns:
        What waits for the next connection, and what has failed.
    """
    waiting = {n: one for n, one in pending.items() if n in kept or _may_be_sent(one)}
    return waiting, [one for n, one in pending.items() if n not in waiting]


def _may_be_sent(request: Request) -> bool:
    if request.times_sent == 0:
        return True
    return request.do in REPEATABLE and request.times_sent < MOST_SENT


def frames_to_send(requests: Iterable[Request]) -> list[bytes]:
    """Give what goes over a new connection, and count it as sent."""
    frames = []
    for request in requests:
        request.times_sent += 1
        frames.append(request.frame)
    return frames


class Requests:
    """The requests to one host, over the channel that is open; any thread may ask.

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
            Its number, and what gets the answer; every failure is the future's.
        """
        head: dict[str, Any] = {"id": next(self._numbers), "do": do, **body}
        size = {"size": len(data)} if data else {}
        request = Request(do, json.dumps(head | size).encode() + b"\n" + data)
        with self._lock:
            if self.trouble and self._settled.is_set():
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
        """Give a frame to whoever waits for it: an event to its listener, a reply to its future."""
        if "event" in head:
            self._subscriptions.take_event(head, data)
        else:
            self._take_reply(head, data)

    def _take_reply(self, head: Mapping[str, Any], data: bytes) -> None:
        number = head["id"]
        if type(number) is not int:  # true and 1.0 would be found as 1
            raise TypeError(f"a reply to request {number!r:.40}")
        # Before the request is taken out: an invalid reply breaks the connection, and that fails
        # what is pending.
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
        """Take note that the connection broke: what may not be sent again fails, the rest waits."""
        with self._lock:
            self._settled.clear()
            self.trouble = why
            self.pending, failed = split_at_break(self.pending, self._subscriptions)
        self._fail(failed, why)

    def resume(self, channel: Channel) -> None:
        """Go on over a new channel, with all subscriptions."""
        with self._lock:
            waiting = {n: one for n, one in self.pending.items() if n not in self._subscriptions}
            # A process that is still to be started has no state yet.
            unstarted = {one.key for one in waiting.values()}
            folders = [one for one in self._subscriptions.folders() if one not in unstarted]
            frames = self._subscriptions.renewals() + frames_to_send(waiting.values())
            self._open(channel)
        self.ask("watch", {"folders": folders})
        # From a thread of its own: what the host answers meanwhile has to be read.
        threading.Thread(target=self._send, args=(channel, frames), daemon=True).start()

    def restart(self, channel: Channel, why: str) -> None:
        """Go on over a new channel to a host that has rebooted: what is pending fails."""
        with self._lock:
            failed, self.pending = list(self.pending.values()), {}
            self._open(channel)
        self._end(failed, why, tell=True)

    def end(self, why: str, *, tell: bool) -> None:
        """Take note that the connection is lost for good, or closed: what is pending fails.

        Args:
            why: it is.
            tell: the subscriptions' listeners, too.
        """
        with self._lock:
            self.trouble = why
            failed, self.pending = list(self.pending.values()), {}
            self._settled.set()
        self._end(failed, why, tell=tell)

    def await_reconnect(self, within_s: float) -> bool:
        """Wait until the connection is open or lost for good; False when it is neither."""
        return self._settled.wait(within_s)

    def _open(self, channel: Channel) -> None:
        self._channel, self.trouble = channel, ""
        self._settled.set()

    def _send(self, channel: Channel, frames: Sequence[bytes]) -> None:
        """Write frames to a channel, and to no later one."""
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
