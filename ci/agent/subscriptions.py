"""The listeners of a host's events, and the requests that are sent again after a reconnect."""

from __future__ import annotations

import json
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.agent.answer_shape import nonsense_in

if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[[dict[str, Any], bytes], None]

MAX_NAME_CHARS = 20


@dataclass(frozen=True)
class Subscription:
    """The events that belong to a request.

    Attributes:
        event: `state`, `check` or `log`.
        listener: called with each frame and its bytes, from the host's reader thread.
        key: the folder of the process of the events; None for the request's own number.
    """

    event: str
    listener: Listener
    key: str | None = None


class Subscriptions:
    """The listeners of a host; any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[tuple[str, object], Listener] = {}
        # Requests with continuing events; each is sent again to a new agent.
        self._renewals: dict[object, dict[str, Any]] = {}

    def add(self, subscription: Subscription, head: dict[str, Any]) -> None:
        """Add the listener of a request; without a key, the request is renewed after a break."""
        key = head["id"] if subscription.key is None else subscription.key
        with self._lock:
            self._listeners[subscription.event, key] = subscription.listener
            if subscription.key is None:
                self._renewals[key] = dict(head)

    def forget(self, event: str, key: object) -> None:
        """Remove a listener; idempotent."""
        with self._lock:
            self._listeners.pop((event, key), None)
            self._renewals.pop(key, None)

    def take_event(self, head: dict[str, Any], data: bytes) -> None:
        """Deliver an event to its listener, if any."""
        if why := nonsense_in(f"event {head['event']}"[:MAX_NAME_CHARS], head):
            raise ValueError(f"an event that is malformed ({why})")
        key = head.get("folder", head.get("check", head.get("follow")))
        with self._lock:
            listener = self._listeners.get((head["event"], key))
            if key in self._renewals and head["event"] == "log":
                self._renewals[key]["offset"] += len(data)
        if listener:
            listener(head, data)

    def __contains__(self, number: object) -> bool:
        """Return whether a request is sent again after a reconnect."""
        with self._lock:
            return number in self._renewals

    def renewals(self) -> list[bytes]:
        """Return the frames that renew the subscriptions with a new agent."""
        with self._lock:
            return [json.dumps(head).encode() + b"\n" for head in self._renewals.values()]

    def folders(self) -> list[str]:
        """Return the folders of the processes with a listener for their state."""
        with self._lock:
            return [str(key) for event, key in self._listeners if event == "state"]

    def end(self, why: str) -> None:
        """Tell every listener that the host is lost, and remove all of them."""
        with self._lock:
            listeners = list(self._listeners.values())
            self._listeners.clear()
            self._renewals.clear()
        with ExitStack() as calls:  # all of them, also when one raises an exception
            for listener in reversed(listeners):
                calls.callback(listener, {"lost": why}, b"")
