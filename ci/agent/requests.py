"""Requests to a host that have no answer yet, and which of them outlive a broken connection.

What was not sent yet, or may be sent twice, waits for the next connection; the rest fails at once.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ci.errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from ci.agent.answers import Answer

# What may be asked again when the answer was lost with the connection; the same result twice.
REPEATABLE = frozenset(
    {"digest", "facts", "http", "packages", "read", "runs", "stop", "watch", "write"}
)
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
    """

    do: str
    frame: bytes
    times_sent: int = 0
    future: Future[Answer] = field(default_factory=Future)

    def fail(self, why: str) -> None:
        """Let whoever waits for the answer know that there will be none; idempotent."""
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
