"""How large a piece of a file may be: as much as is sent in a second or two. Pure.

A larger piece would delay the beats behind it, and without beats a host ends its processes.
"""

from __future__ import annotations

SMALLEST_BYTES, FIRST_BYTES, LARGEST_BYTES = 8 << 10, 64 << 10, 4 << 20
QUICK_S, SLOW_S = 0.5, 2.0


class Pace:
    """The size of the next piece, from the times of the previous pieces.

    Attributes:
        bytes: size of the next piece.
        known_fast: whether several pieces may be sent before the first reply.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self.bytes = FIRST_BYTES
        self._largest_bytes = largest_bytes

    @property
    def known_fast(self) -> bool:
        """Return whether a piece was quick, and no piece was slow since then."""
        return self.bytes > FIRST_BYTES

    def note(self, seconds: float) -> None:
        """Note the time of a piece."""
        if seconds < QUICK_S:
            self.bytes = min(2 * self.bytes, self._largest_bytes)
        elif seconds > SLOW_S:
            self.bytes = max(self.bytes // 4, SMALLEST_BYTES)
