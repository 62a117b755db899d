"""Read the logs of a run from its hosts, once or continuously."""

from __future__ import annotations

import threading
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from ci.agent.pieces import whole
from ci.remote.names import LEASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from ci.agent.client import Agent
    from ci.commands.overview import RunProcess

PIECE_BYTES = MAX_LINE_BYTES = 1 << 20
LOOK_S = 0.5


def read_logs(agents: Mapping[str, Agent], rows: Sequence[RunProcess]) -> Iterator[bytes]:
    """Yield every log whole; each line is prefixed with its host and process."""
    for row in rows:
        if row.process != LEASE:
            pieces = whole(agents[row.host], f"{row.folder}/log")
            yield from _prefixed(row.host, row.process, pieces)


def recorded_logs(files: Iterable[Path]) -> Iterator[bytes]:
    """Yield logs that are on this machine whole, `HOST/PROCESS.log`, prefixed in the same way."""
    for file in files:
        with file.open("rb") as log:
            pieces = iter(partial(log.read, PIECE_BYTES), b"")
            yield from _prefixed(file.parent.name, file.stem, pieces)


def _prefixed(host: str, process: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    prefixed = Prefixed(host, process)
    for piece in pieces:
        yield prefixed.lines(piece)
    yield prefixed.lines(b"", last=True)


def follow_logs(agents: Mapping[str, Agent], rows: Sequence[RunProcess]) -> Iterator[bytes]:
    """Yield every log from its beginning, and new lines until all processes have ended.

    Args:
        agents: host → agent.
        rows: the processes.
    """
    pieces: SimpleQueue[bytes | None] = SimpleQueue()
    followed = [row for row in rows if row.process != LEASE]
    for row in followed:
        _follow(agents[row.host], row, pieces)
    open_logs = len(followed)
    while open_logs:
        try:
            piece = pieces.get(timeout=LOOK_S)  # a wait without a limit could miss a Ctrl-C
        except Empty:
            continue
        if piece is None:
            open_logs -= 1
        elif piece:
            yield piece


def _follow(agent: Agent, row: RunProcess, pieces: SimpleQueue[bytes | None]) -> None:
    prefixed = Prefixed(row.host, row.process)
    ended = threading.Event()

    def on_frame(frame: dict[str, Any], data: bytes) -> None:
        if frame.get("lost"):
            pieces.put(f"{row.host}: {frame['lost']}\n".encode())
        if frame.get("end") or frame.get("lost"):
            pieces.put(prefixed.lines(b"", last=True))
            if not ended.is_set():
                ended.set()
                pieces.put(None)
        else:
            pieces.put(prefixed.lines(data))

    agent.begin("follow", "log", on_frame, folder=row.folder, offset=0)


class Prefixed:
    """Prefixes a log's lines with their host and process; keeps an unfinished line back.

    A line of more than MAX_LINE_BYTES is broken: it may never end.
    """

    def __init__(self, host: str, process: str) -> None:
        self._prefix = f"{host} {process} | ".encode()
        self._rest = b""

    def lines(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the complete lines received so far; with `last`, the unfinished line too."""
        text, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        out = text + newline
        if rest and (last or len(rest) > MAX_LINE_BYTES):
            out, self._rest = out + rest + b"\n", b""
        if not out:
            return b""
        # One `replace` for all lines: a loop in Python takes ten times as long.
        return self._prefix + out[:-1].replace(b"\n", b"\n" + self._prefix) + b"\n"
