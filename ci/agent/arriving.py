"""What a host says lies in a folder of it: every name and size is checked before it counts. Pure.

A name becomes a path below one folder of ours, so it is taken apart here, whatever the host claims.
"""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass
from pathlib import PurePosixPath

MAX_BYTES = 16 << 30  # of one copy; a night's logs and output are far below it
MAX_ENTRIES = 100_000
MAX_LIST_BYTES = 64 << 20
MAX_PATH_BYTES = 2048
MAX_PART_BYTES = 255  # as file systems have it
MAX_DEPTH = 64
MAX_NAMED = 20  # of what is left out


class Nonsense(Exception):  # noqa: N818 - says what is wrong
    """No honest host sends this; the message says what, and why."""


@dataclass(frozen=True)
class Listed:
    """What is copied of a folder.

    Attributes:
        files: path below the folder → size in bytes.
        left_out: as `NAME (a symbolic link)`; after the first `MAX_NAMED` only how many.
    """

    files: dict[str, int]
    left_out: tuple[str, ...]


def inflated(packed: bytes, most: int) -> bytes:
    """Decompress what a host sent.

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
    """Read the list of what lies in a folder.

    Args:
        packed: from the host.
        max_bytes: of all files together; a file that finds no room any more is left out.

    Raises:
        Nonsense: a name leads out of the folder or comes twice, or the value is not such a list.
    """
    try:
        listed = json.loads(inflated(packed, MAX_LIST_BYTES))
        files = [(_path(name), _size(size)) for name, size in listed["files"]]
        left_out = [(_path(name), str(why)) for name, why in listed["left_out"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Nonsense(f"a list of files that makes no sense: {error}") from None
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
        raise Nonsense(f"{name!r:.200}: a name that is no text")
    parts = name.split("/")
    size = len(name.encode(errors="surrogatepass"))
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise Nonsense(f"{name!r:.200}: its name is no path below the folder")
    longest = max(len(part.encode(errors="surrogatepass")) for part in parts)
    if longest > 3 * MAX_PART_BYTES or size > MAX_PATH_BYTES or len(parts) > MAX_DEPTH:
        raise Nonsense(f"{name!r:.200}: its name has {size} bytes and {len(parts)} parts")
    return PurePosixPath(name)


def _size(size: object) -> int:
    if type(size) is not int or size < 0:
        raise Nonsense(f"{size!r:.200}: a size that is none")
    return size


def _refuse_twins(paths: list[PurePosixPath]) -> None:
    """Refuse a path that comes twice, or lies below what is not a folder."""
    known = set(paths)
    if len(known) < len(paths):
        raise Nonsense("a name that comes twice")
    for path in paths:
        if not known.isdisjoint(path.parents):
            raise Nonsense(f"{str(path)!r:.200}: it lies below what is not a folder")


def _unfit(path: PurePosixPath) -> str:
    """Why reports and terminals could not show a name; empty when they can."""
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
    """Give a text on one line, with nothing in it that a terminal obeys."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode()
        for char in text[:MAX_PART_BYTES]
    )
