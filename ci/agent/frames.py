"""The frames that a host's agent sends: one line of JSON each, and the raw bytes after it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of one frame: its line, and the bytes after it. A file is read in pieces.
MAX_LINE_BYTES, MAX_DATA_BYTES = 16 << 20, 64 << 20
# What an invalid frame raises, here or in the code that takes it.
INVALID = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._inbox = bytearray()

    @property
    def within_frame(self) -> bool:
        """Whether a part of a frame has arrived, and not all of it."""
        return self._inbox[:1] == b"{"

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
            head = json.loads(self._inbox[:end])
            size = head.get("size", 0)
            if not 0 <= size <= MAX_DATA_BYTES:
                raise ValueError(f"a frame of {size} bytes")
            after = end + 1 + size
            if len(self._inbox) < after:
                return
            data = bytes(self._inbox[end + 1 : after])
            del self._inbox[:after]
            yield head, data
        if len(self._inbox) >= MAX_LINE_BYTES:
            raise ValueError(f"a line of {len(self._inbox)} bytes")
