"""Read folders on this host, and their regular files in pieces; no link is followed."""

from __future__ import annotations

import errno
import os
import stat
import zlib

from ci.remote.lean import json, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple

MOST_BYTES = 4 << 20  # of a piece
FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
)


def read(
    path: str, offset: int = 0, limit: int = MOST_BYTES, tail: Optional[int] = None
) -> Tuple[Optional[int], bytes]:
    """Read a file from `offset` on, or its last `tail` bytes.

    Returns:
        The size of the file, None if it is not a regular file; and the bytes, compressed.

    Raises:
        OSError: it cannot be read.
    """
    try:
        handle = os.open(path, FLAGS)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ELOOP, errno.ENXIO}:
            return None, b""
        raise
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            return None, b""
        begin = offset if tail is None else max(0, status.st_size - tail)
        data = os.pread(handle, min(limit if tail is None else tail, MOST_BYTES), begin)
    finally:
        os.close(handle)
    return status.st_size, zlib.compress(data, 1) if data else b""


def kind_of(status: os.stat_result) -> str:
    """Name the kind of an entry that is not a regular file."""
    return next((kind for matches, kind in KINDS if matches(status.st_mode)), "a folder")


def entries_of(folder: str, above: str) -> Iterator[Tuple[str, os.stat_result]]:
    """Yield the entries of a folder below `folder`, each with its path below `folder`."""
    with os.scandir(os.path.join(folder, above)) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                yield os.path.join(above, entry.name), entry.stat(follow_symlinks=False)


def list_files(folder: str, most: int) -> Tuple[Optional[int], bytes]:
    """List the entries below a folder.

    Args:
        folder: absolute path.
        most: the largest number of entries to list.

    Returns:
        The number of entries, `most` + 1 if there are more, None if it does not exist or is not a
        folder; and the list, as compressed JSON: `files`, each with its path below the folder and
        its size, and `left_out`, each with its kind.

    Raises:
        OSError: the folder cannot be read.
    """
    files: List[Tuple[str, int]] = []
    left_out: List[Tuple[str, str]] = []
    count, waiting = 0, [""]
    while waiting and count <= most:
        above = waiting.pop()
        try:
            for name, status in entries_of(folder, above):
                count += 1
                if count > most:
                    break
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(name)
                elif stat.S_ISREG(status.st_mode):
                    files.append((name, status.st_size))
                else:
                    left_out.append((name, kind_of(status)))
        except OSError as error:
            if not above and error.errno == errno.ENOENT:
                return None, b""
            if not above:
                raise
            left_out.append((above, error.strerror or "it cannot be read"))
    listed = {"files": sorted(files), "left_out": sorted(left_out)}
    return count, zlib.compress(json.dumps(listed).encode(), 1)
