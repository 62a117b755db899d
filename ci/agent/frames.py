"""The frames that a host's agent sends: one line of JSON each, and the raw bytes after it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Of one frame: its line, and the bytes after it. A file is read in pieces.
MAX_LINE_BYTES, MAX_DATA_BYTES = 16 << 20, 64 << 20
# What an invalid frame raises, here or in the code that takes it.
INVALID = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
# Of a line with data after it, which is read again with every piece of the data.
MAX_HEAD_BYTES = 4096
# What reads or writes a value later goes deeper by several calls with each level.
MAX_DEPTH = 32


class FrameReader:
    """Cuts a stream of bytes into frames.

    Args:
        mark: what each frame begins with.
    """

    def __init__(self, mark: bytes = b"") -> None:
        self._inbox = bytearray()
        self._begin = mark + b"{"

    @property
    def within_frame(self) -> bool:
        """Whether a part of a frame has arrived, and not all of it."""
        return self._inbox.startswith(self._begin)

    def take(self, piece: bytes) -> Iterator[tuple[dict[str, Any], bytes]]:
        """Add bytes; yields each frame that is complete, with its data.

        Lines of text between frames are dropped: start-up files of the login shell may have started
        what prints them.

        Raises:
            ValueError and the others of `INVALID`: no agent sends this.
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
    """Read a frame's line; an object that is not nested deep, in text that can be encoded."""
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
