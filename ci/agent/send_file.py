"""Send one file to a host in pieces, resumed where it was cut off, and verified there."""

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
UNDER_WAY = 4  # pieces that are not yet answered: they hide the latency of the connection
PIECE_S = 120.0
SLOWEST_DISK = 20e6  # bytes per second that any host reads its own files with
# How often in a row the connection may break without a piece having arrived in between.
TRIES = 4
PAUSE_S = 1.0


class Source:
    """A file of this machine; what it holds is read once, whoever asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self._reading = threading.Lock()
        self._known: dict[int, str] = {}

    def sha256(self, size: int | None = None) -> str:
        """The digest of the file, or of its first `size` bytes."""
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
    """Whether a file on the host, or its first `size` bytes, is what the source holds.

    Raises:
        ConnectionLost, CommandTimedOut, InfrastructureError: the host did not say.
    """
    wanted = source.size if size is None else size
    within_s = 60 + wanted / SLOWEST_DISK
    found = agent.call("digest", within_s=within_s, path=path, length=size).value
    return bool(found == {"size": wanted, "sha256": source.sha256(wanted)})


def send(  # noqa: PLR0913 - each is one plain choice
    agent: Answering,
    source: Source,
    folder: str,
    name: str,
    *,
    mode: int = 0o644,
    check: Sequence[str] | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> None:
    """Send a file; one that was begun before goes on where it ended, if that much is right.

    Args:
        agent: the host.
        source: the file here.
        folder: on the host, absolute; made when missing.
        name: of the file below it; `<name>.<host>.part` until it is whole.
        mode: its permissions.
        check: arguments with which it has to run there, if it is a program.
        on_bytes: called with the number of bytes there, at the beginning and with each piece.

    Raises:
        ConnectionLost: the connection broke and did not come back.
        CommandTimedOut: the host does not answer.
        InfrastructureError: it cannot be written there, or did not arrive as it was sent.
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
            "that disk if it comes again",
        )


class _Progress:
    def __init__(self, on_bytes: Callable[[int], None]) -> None:
        self.bytes = 0
        self._on_bytes = on_bytes

    def add(self, count: int) -> None:
        self.bytes += count
        self._on_bytes(self.bytes)


def _try(agent: Answering, source: Source, where: tuple[str, str], progress: _Progress) -> None:
    folder, name = where
    begin = _right_so_far(agent, source, f"{folder}/{name}.{agent.own_name}.part")
    part = agent.call("truncate_part", folder=folder, name=name, length=begin).value
    progress.add(begin)
    try:
        _pour(agent, source, part, progress)
    except (ConnectionLost, CommandTimedOut):
        raise
    except InfrastructureError as error:
        with contextlib.suppress(InfrastructureError):  # pieces after it may have arrived
            agent.call("truncate_part", folder=folder, name=name, length=progress.bytes)
        raise InfrastructureError(
            f"{error}, while {part} was written; make room or repair the folder there, run again; "
            "it goes on where it ended",
        ) from error


def _right_so_far(agent: Answering, source: Source, part: str) -> int:
    """How many bytes of the unfinished part need not be sent again."""
    there = agent.call("digest", within_s=60 + source.size / SLOWEST_DISK, path=part).value
    size = there["size"] or 0
    right = size <= source.size and there["sha256"] == source.sha256(size)
    return size if right else 0


def _pour(agent: Answering, source: Source, part: str, progress: _Progress) -> None:
    waiting: deque[tuple[Future[Answer], int, float]] = deque()
    at, pace = progress.bytes, Pace(PIECE_BYTES)
    with source.path.open("rb") as file:
        file.seek(at)
        while (piece := file.read(pace.bytes)) or waiting:
            if piece:
                began = time.monotonic()
                asked = agent.ask("write", piece, path=part, mode=0o600, offset=at)
                waiting.append((asked, len(piece), began))
                at += len(piece)
            while waiting and (not piece or len(waiting) >= (UNDER_WAY if pace.known_fast else 1)):
                asked, count, began = waiting.popleft()
                result_of(agent, "write", asked, PIECE_S)
                pace.note(time.monotonic() - began)
                progress.add(count)
