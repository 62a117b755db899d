"""Send a file to a host in pieces; resume after a break, and verify the file there."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from ci.agent.answers import result_of
from ci.agent.pace import Pace
from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from ci.agent.answers import Answer, Answering

PIECE_BYTES = 1 << 20
UNDER_WAY = 4  # pieces without a reply yet: they hide the latency of the connection
PIECE_S = 120.0
SLOWEST_DISK = 20e6  # bytes per second at which any host reads its own files
# How often in a row the connection may break before a piece arrives.
TRIES = 4
PAUSE_S = 1.0


class Source:
    """A file of this machine; each digest of it is computed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._reading = threading.Lock()
        self._known: dict[int, str] = {}

    def sha256(self, size: int | None = None) -> str:
        """Return the digest of the file, or of its first `size` bytes."""
        wanted = self.size if size is None else size
        with self._reading:
            if wanted not in self._known:
                self._known[wanted] = _sha256(self.path, wanted)
            return self._known[wanted]


def _sha256(path: Path, size: int) -> str:
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, PIECE_BYTES))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def same_there(agent: Answering, source: Source, path: str, size: int | None = None) -> bool:
    """Return whether a file on the host, or its first `size` bytes, equals the source.

    Raises:
        ConnectionLost, CommandTimedOut, InfrastructureError: the host did not answer.
    """
    wanted = source.size if size is None else size
    within_s = 60 + wanted / SLOWEST_DISK
    there = agent.call("digest", within_s=within_s, path=path, length=size).value
    return bool(there == {"size": wanted, "sha256": source.sha256(wanted)})


def send(  # noqa: PLR0913 - independent options
    agent: Answering,
    source: Source,
    folder: str,
    name: str,
    *,
    mode: int = 0o644,
    check: Sequence[str] | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:
    """Send a file; continue an unfinished part if its content is correct.

    Args:
        agent: the host.
        source: the file on this machine.
        folder: absolute path on the host; made if missing.
        name: name of the file in it; `<name>.<host>.part` until it is complete.
        mode: its permissions.
        check: for a program, arguments with which it has to run there.
        on_bytes: called with the number of bytes on the host, at the start and after each piece.

    Raises:
        ConnectionLost: the connection broke and did not come back.
        CommandTimedOut: the host does not answer.
        InfrastructureError: it cannot be written there, or arrived damaged.
    """
    reached, tries = -1, TRIES
    while True:
        progress = _Progress(on_bytes)
        try:
            _try(agent, source, (folder, name), progress)
            break
        except ConnectionLost:
            tries = TRIES if progress.bytes > reached else tries - 1
            reached = max(reached, progress.bytes)
            if tries == 0:
                raise
            time.sleep(PAUSE_S)
    wrong = agent.call(
        "commit_upload", within_s=60 + 2 * source.size / SLOWEST_DISK, folder=folder, name=name,
        length=source.size, sha256=source.sha256(), mode=mode, check=check,
    ).value  # fmt: skip
    if wrong:
        raise InfrastructureError(
            f"{agent.host}: {folder}/{name}: {wrong}; it was removed there: run again, and look at "
            "that disk if this happens again",
        )


class _Progress:
    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self.bytes = 0
        self._on_bytes = on_bytes

    def add(self, count: int) -> None:
        self.bytes += count
        self._on_bytes(self.bytes)


def _try(agent: Answering, source: Source, target: tuple[str, str], progress: _Progress) -> None:
    folder, name = target
    begin = _correct_bytes(agent, source, f"{folder}/{name}.{agent.own_name}.part")
    part = agent.call("truncate_part", folder=folder, name=name, length=begin).value
    progress.add(begin)
    try:
        _send_pieces(agent, source, part, progress)
    except (ConnectionLost, CommandTimedOut):
        raise
    except InfrastructureError as error:
        with contextlib.suppress(InfrastructureError):  # later pieces may have arrived
            agent.call("truncate_part", folder=folder, name=name, length=progress.bytes)
        raise InfrastructureError(
            f"{error}, while writing {part}; make room or repair the folder there, and run again: "
            "the copy is resumed",
        ) from error


def _correct_bytes(agent: Answering, source: Source, part: str) -> int:
    """Return how many bytes of the unfinished part are correct."""
    there = agent.call("digest", within_s=60 + source.size / SLOWEST_DISK, path=part).value
    size = there["size"] or 0
    correct = size <= source.size and there["sha256"] == source.sha256(size)
    return size if correct else 0


def _send_pieces(agent: Answering, source: Source, part: str, progress: _Progress) -> None:
    waiting: deque[tuple[Future[Answer], int, float]] = deque()
    at, pace = progress.bytes, Pace(PIECE_BYTES)
    with source.path.open("rb") as file:
        file.seek(at)
        while (piece := file.read(pace.bytes)) or waiting:
            if piece:
                began = time.monotonic()
                reply = agent.ask("write", piece, path=part, mode=0o600, offset=at)
                waiting.append((reply, len(piece), began))
                at += len(piece)
            while waiting and (not piece or len(waiting) >= (UNDER_WAY if pace.known_fast else 1)):
                reply, count, began = waiting.popleft()
                result_of(agent, "write", reply, PIECE_S)
                pace.note(time.monotonic() - began)
                progress.add(count)
