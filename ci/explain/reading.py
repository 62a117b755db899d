"""Read the lines of a log file, within bounds of memory and time."""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

PIECE_BYTES = 1 << 20
# For all logs of a night; a log that takes longer is searched at its end only.
SEARCH_S = 60.0
END_BYTES = 1 << 20


def read(file: BinaryIO, deadline: float) -> Iterator[str]:
    """Read lines until the deadline, and then those of the file's end.

    Of a progress bar, every state is a line of its own.
    """
    rest = ""
    while piece := file.read(PIECE_BYTES):
        lines = (rest + piece.decode(errors="replace")).splitlines(keepends=True)
        rest = "" if lines[-1].endswith(("\n", "\r")) else lines.pop()
        yield from lines
        if len(rest) > PIECE_BYTES:
            yield rest
            rest = ""
        if time.monotonic() > deadline:
            read = file.tell()
            file.seek(max(read, file.seek(0, os.SEEK_END) - END_BYTES))
            deadline = math.inf
    yield rest
