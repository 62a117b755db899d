"""Read the logs of a run from its hosts, once or continuously."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ci.remote.names import LEASE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.agent.client import Agent
    from ci.commands.overview import RunProcess


def read_logs(agents: Mapping[str, Agent], rows: Sequence[RunProcess]) -> Iterator[bytes]:
    """Yield every log whole; each line is prefixed with its host and process."""
    for row in rows:
        if row.process != LEASE:
            prefixed = Prefixed(row)
            for piece in agents[row.host].read_pieces(f"{row.folder}/log"):
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
        piece = pieces.get()
        if piece is None:
            open_logs -= 1
        elif piece:
            yield piece


def _follow(agent: Agent, row: RunProcess, pieces: SimpleQueue[bytes | None]) -> None:
    prefixed = Prefixed(row)
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
    """Prefixes a log's lines with their host and process; keeps an unfinished line back."""

    def __init__(self, row: RunProcess) -> None:
        self._prefix = f"{row.host} {row.process} | ".encode()
        self._rest = b""

    def lines(self, data: bytes, *, last: bool = False) -> bytes:
        """Return the complete lines received so far; with `last`, the unfinished line too."""
        text, newline, rest = (self._rest + data).rpartition(b"\n")
        self._rest = rest
        out = text + newline
        if last and rest:
            out, self._rest = out + rest + b"\n", b""
        if not out:
            return b""
        # One `replace` for all lines: a loop in Python takes ten times as long.
        return self._prefix + out[:-1].replace(b"\n", b"\n" + self._prefix) + b"\n"
