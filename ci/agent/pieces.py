"""Read a file of a host in pieces, whose size depends on the speed of the connection.

Only a single piece is requested at a time. Beats, states and health checks pass between the pieces,
and neither side has more than a piece in memory.
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

# Time limit of each piece.
PIECE_S = 60.0
# How often in a row the connection may break before a piece arrives.
TRIES = 4
LOOK_S = 0.2


def never() -> bool:
    """Return False: never stop."""
    return False


def size_of(agent: Agent, path: str, stop: Callable[[], bool] = never) -> int | None:
    """Ask for the size of a file; None if it does not exist. Raises as `pieces`."""
    size = ask(agent, "read", stop, path=path, limit=0).value
    if size is not None and (type(size) is not int or size < 0):
        raise refused(agent, path, f"its size is {size!r:.200}")
    return size


def pieces(
    agent: Agent, path: str, begin: int, end: int, stop: Callable[[], bool] = never
) -> Iterator[bytes]:
    """Read a file from `begin` to `end`, or to its own end if that is earlier.

    Args:
        agent: the host.
        path: absolute path of a regular file.
        begin: offset in bytes.
        end: offset in bytes.
        stop: called a few times a second; True ends the copy.

    Raises:
        CopyStopped: `stop` returned True.
        ConnectionLost, CommandTimedOut: the host no longer answers.
        FilesRefused: the host sends what no correct agent sends.
        InfrastructureError: the host cannot read the file.
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
    """Read a file in its present size; empty without a file. Raises as `pieces`."""
    yield from pieces(agent, path, 0, size_of(agent, path) or 0)


def refused(agent: Agent, path: str, why: str) -> FilesRefused:
    """Return the error for a host that sends what no correct agent sends."""
    return FilesRefused(
        f"{agent.host}: cannot copy {path}: it sent what no agent sends: {why}; find out what "
        f"`{agent.connection.python}` on it is, and trust nothing that comes from this host until "
        "then",
    )


def ask(
    agent: Agent, do: str, stop: Callable[[], bool], within_s: float = PIECE_S, **body: Any
) -> Answer:
    """Send an idempotent request; send it again after a reconnect. Raises as `pieces`.

    Args:
        agent: the host.
        do: the name of the request.
        stop: called a few times a second; True ends the wait.
        within_s: limit for the answer.
        body: the fields of the request.
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
    # Asked before each piece, too: a fast host may never let this function wait.
    _raise_if_stopped(agent, stop)
    reply = agent.ask(do, **body)
    deadline = time.monotonic() + within_s
    while not reply.done() and time.monotonic() < deadline:
        _raise_if_stopped(agent, stop)
        wait([reply], LOOK_S)
    if reply.done():
        return result_of(agent, do, reply, 0)
    if agent.trouble:
        raise ConnectionLost(f"{agent.host}: {agent.trouble}")
    raise CommandTimedOut(agent.host, do, within_s)


def _await_settled(agent: Agent, stop: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RETRY_S + START_S
    while not agent.await_reconnect(LOOK_S) and time.monotonic() < deadline:
        _raise_if_stopped(agent, stop)


def _raise_if_stopped(agent: Agent, stop: Callable[[], bool]) -> None:
    if stop():
        raise CopyStopped(f"{agent.host}: the copy was stopped before its end")
