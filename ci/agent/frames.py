"""Frames from a host's agent: each is a line of JSON, with raw bytes after it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Limits of a frame: its line, and the bytes after it. Files are read in pieces.
MAX_LINE_BYTES, MAX_DATA_BYTES = 16 << 20, 64 << 20
# Exceptions of an invalid frame, here or in the code that takes it.
INVALID = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# Limit of a line with data after it, because it is parsed again with every piece of the data.
MAX_HEAD_BYTES = 4096
# Code that reads or writes a value later makes several nested calls for each level.
MAX_DEPTH = 32


class FrameReader:
    """Splits a stream of bytes into frames.

    Args:
        mark: what each frame begins with.
    """

    def __init__(self, mark: bytes = b"") -> None:
        self._inbox = bytearray()
        self._begin = mark + b"{"

    @property
    def within_frame(self) -> bool:
        """Return whether a frame has arrived only in part."""
        return self._inbox.startswith(self._begin)

    def take(self, piece: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Add bytes; yield each complete frame with its data.

        Lines of text between frames are dropped: start-up files of the login shell may have started
        a program that prints them.

        Raises:
            ValueError and the others of `INVALID`: no correct agent sends this.
        """
        self._inbox += piece
        while (end := self._inbox.find(b"\n", 0, MAX_LINE_BYTES)) >= 0:
            if not self.within_frame:
                self._inbox[:end].decode()
                del self._inbox[: end + 1]
                continue
            head = _head(bytes(self._inbox[len(self._begin) - 1 : end]))
            size = head.get("size", 0)
            if type(size) is not int or not 0 <= size <= MAX_DATA_BYTES:
                raise ValueError(f"a frame of {size!r:.40} bytes")
            if size and end > MAX_HEAD_BYTES:
                raise ValueError(f"a line of {end} bytes with data after it")
            after = end + 1 + size
            if len(self._inbox) < after:
                return
            data = bytes(self._inbox[end + 1 : after])
            del self._inbox[:after]
            yield head, data
        if len(self._inbox) >= MAX_LINE_BYTES:
            raise ValueError(f"a line of {len(self._inbox)} bytes")


def _head(line: bytes) -> dict[str, Any]:
    """Read the line of a frame: an object of limited depth, with text that can be encoded."""
    head = json.loads(line)
    if not isinstance(head, dict):
        raise TypeError(f"a frame is an object, not {type(head).__name__}")
    if b"\\ud" in line.lower():  # half a character, as in a file name that is not UTF-8
        head = json.loads(json.dumps(head, ensure_ascii=False).encode(errors="replace"))
    level: list[Any] = [head]
    for _ in range(MAX_DEPTH):
        level = [part for whole in level for part in _parts(whole)]
        if not level:
            return head  # type: ignore[no-any-return]
    raise ValueError(f"a value nested more than {MAX_DEPTH} deep")


def _parts(value: Any) -> Iterable[Any]:  # noqa: ANN401 - any JSON value
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
