"""Read a file of a host in pieces, whose size follows the speed of the line.

The agent sends only what it was asked for, and one piece is under way at a time: beats, states and
health checks pass in between, and neither side holds more than a piece in memory.
"""

from __future__ import annotations

import time
from concurrent.futures import wait
from typing import TYPE_CHECKING, Any

from ci.agent.answers import result_of
from ci.agent.arriving import Nonsense, inflated
from ci.agent.pace import Pace
from ci.agent.reconnect import RETRY_S
from ci.agent.start_agent import START_S
from ci.errors import CommandTimedOut, ConnectionLost, CopyStopped, FilesRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci.agent.answers import Answer
    from ci.agent.client import Agent

# A piece that takes longer is given up; one that arrives gives the next as much time.
PIECE_S = 60.0
# How often in a row the connection may break without a piece having arrived in between.
TRIES = 4
LOOK_S = 0.2


def never() -> bool:
    """Stop for nothing."""
    return False


def size_of(agent: Agent, path: str, stop: Callable[[], bool] = never) -> int | None:
    """Ask for the size of a file; None where there is none. Raises as `pieces`."""
    size = ask(agent, "read", stop, path=path, limit=0).value
    if size is not None and (type(size) is not int or size < 0):
        raise refused(agent, path, f"its size is {size!r:.200}")
    return size


def pieces(
    agent: Agent, path: str, begin: int, end: int, stop: Callable[[], bool] = never
) -> Iterator[bytes]:
    """Read a file from `begin` to `end`, or to its own end where that comes first.

    Args:
        agent: the host.
        path: absolute; a regular file.
        begin: offset in bytes.
        end: offset in bytes.
        stop: asked a few times a second whether to give up.

    Raises:
        CopyStopped: `stop` said so.
        ConnectionLost, CommandTimedOut: the host does not answer any more.
        FilesRefused: it sends what no agent sends.
        InfrastructureError: it cannot read the file.
    """
    at, pace = begin, Pace()
    while at < end:
        limit, began = min(pace.bytes, end - at), time.monotonic()
        packed = ask(agent, "read", stop, path=path, offset=at, limit=limit).data
        try:
            piece = inflated(packed, limit)
        except Nonsense as error:
            raise refused(agent, path, str(error)) from None
        if not piece:
            return
        pace.note(time.monotonic() - began)
        at += len(piece)
        yield piece


def whole(agent: Agent, path: str) -> Iterator[bytes]:
    """Read a file as it is now; none gives nothing. Raises as `pieces`."""
    yield from pieces(agent, path, 0, size_of(agent, path) or 0)


def refused(agent: Agent, path: str, why: str) -> FilesRefused:
    """Say that a host sent what no honest host sends."""
    return FilesRefused(
        f"{agent.host}: cannot copy {path}: it sent what no agent sends: {why}; find out what "
        f"`{agent.connection.python}` on it is, and trust nothing that comes from this host until "
        "then",
    )


def ask(
    agent: Agent, do: str, stop: Callable[[], bool], within_s: float = PIECE_S, **body: Any
) -> Answer:
    """Ask for what may be asked again; over a new connection where one breaks. Raises as `pieces`.

    Args:
        agent: the host.
        do: the request.
        stop: asked a few times a second whether to give up.
        within_s: for the answer.
        body: of the request.
    """
    tries = TRIES
    while True:
        try:
            return _answer(agent, do, stop, within_s, body)
        except ConnectionLost:
            tries -= 1
            _await_settled(agent, stop)
            if tries == 0 or agent.trouble:
                raise


def _answer(
    agent: Agent, do: str, stop: Callable[[], bool], within_s: float, body: dict[str, Any]
) -> Answer:
    asked = agent.ask(do, **body)
    deadline = time.monotonic() + within_s
    while not asked.done() and time.monotonic() < deadline:
        _heed(agent, stop)
        wait([asked], LOOK_S)
    if asked.done():
        return result_of(agent, do, asked, 0)
    if agent.trouble:
        raise ConnectionLost(f"{agent.host}: {agent.trouble}")
    raise CommandTimedOut(agent.host, do, within_s)


def _await_settled(agent: Agent, stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RETRY_S + START_S
    while not agent.await_reconnect(LOOK_S) and time.monotonic() < deadline:
        _heed(agent, stop)


def _heed(agent: Agent, stop: Callable[[], bool]) -> None:
    if stop():
        raise CopyStopped(f"{agent.host}: the copy was stopped before its end")
