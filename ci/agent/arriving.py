"""Check the list of a folder that a host sends: every name and every size. Pure.

A name becomes a path below a folder of this machine, so each of its parts is checked.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_BYTES = 16 << 30  # of a copy; a night's logs and output are far below it
MAX_ENTRIES = 100_000
MAX_LIST_BYTES = 64 << 20
MAX_PATH_BYTES = 2048
MAX_PART_BYTES = 255  # limit of file systems
MAX_DEPTH = 64
MAX_NAMED = 20  # names of entries that are left out


class Nonsense(Exception):  # noqa: N818 - a part of other errors
    """Data that no correct agent sends; the message has the data and the reason."""


@dataclass(frozen=True)
class Listed:
    """The files of a folder to copy.

    Attributes:
        files: path below the folder → size in bytes.
        left_out: entries such as `NAME (a symbolic link)`; after `MAX_NAMED` only their number.
    """

    files: dict[str, int]
    left_out: tuple[str, ...]


def inflated(packed: bytes, most: int) -> bytes:
    """Decompress data from a host.

    Raises:
        Nonsense: it is damaged, or has more than `most` bytes.
    """
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, most + 1) if packed else b""
    except zlib.error as error:
        raise Nonsense(str(error)) from None
    if len(data) > most or (packed and not stream.eof):
        raise Nonsense(f"more than the {most} bytes that were asked for, or damaged ones")
    return data


def read_list(packed: bytes, max_bytes: int = MAX_BYTES) -> Listed:
    """Read the list of a folder.

    Args:
        packed: the data from the host.
        max_bytes: limit for all files together; files that exceed it are left out.

    Raises:
        Nonsense: a name leads out of the folder or comes twice, or the value is not such a list.
    """
    try:
        listed = json.loads(inflated(packed, MAX_LIST_BYTES))
        files = [(_path(name), _size(size)) for name, size in listed["files"]]
        left_out = [(_path(name), str(why)) for name, why in listed["left_out"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Nonsense(f"a malformed list of files: {error}") from None
    _refuse_twins([path for path, _ in (*files, *left_out)])
    copied: dict[str, int] = {}
    for path, size in files:
        if why := _unfit(path) or ("" if size <= max_bytes else f"{size} bytes, too many"):
            left_out.append((path, why))
        else:
            copied[str(path)] = size
            max_bytes -= size
    return Listed(copied, _named(left_out))


def _path(name: object) -> PurePosixPath:
    if not isinstance(name, str):
        raise Nonsense(f"{name!r:.200}: a name that is not a string")
    parts = name.split("/")
    size = len(name.encode(errors="surrogatepass"))
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise Nonsense(f"{name!r:.200}: its name is not a path below the folder")
    longest = max(len(part.encode(errors="surrogatepass")) for part in parts)
    if longest > 3 * MAX_PART_BYTES or size > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        raise Nonsense(f"{name!r:.200}: its name has {size} bytes and {len(parts)} parts")
    return PurePosixPath(name)


def _size(size: object) -> int:
    if type(size) is not int or size < 0:
        raise Nonsense(f"{size!r:.200}: not a size")
    return size


def _refuse_twins(paths: list[PurePosixPath]) -> None:
    """Refuse duplicate paths, and paths below a file."""
    known = set(paths)
    if len(known) < len(paths):
        raise Nonsense("a name that comes twice")
    for path in paths:
        if not known.isdisjoint(path.parents):
            raise Nonsense(f"{str(path)!r:.200}: it lies below what is not a folder")


def _unfit(path: PurePosixPath) -> str:
    """Return why reports and terminals cannot show a name; empty if they can."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return "" if str(path).isprintable() else "its name has control characters"


def _named(left_out: list[tuple[PurePosixPath, str]]) -> tuple[str, ...]:
    shown = [f"{_printable(str(path))} ({_printable(why)})" for path, why in left_out[:MAX_NAMED]]
    more = len(left_out) - len(shown)
    return (*shown, *([f"{more} more"] if more else []))


def _printable(text: str) -> str:
    """Return a text on one line, without control characters."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[:MAX_PART_BYTES]
    )
