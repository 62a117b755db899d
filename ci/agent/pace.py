"""How large a piece of a file may be: what the line carries in a second or two. Pure.

A larger one would hold up beats behind it, and without beats a host ends its processes.
"""

from __future__ import annotations

SMALLEST_BYTES, FIRST_BYTES, LARGEST_BYTES = 8 << 10, 64 << 10, 4 << 20
QUICK_S, SLOW_S = 0.5, 2.0


class Pace:
    """The size of the next piece, from how long the pieces before it took.

    Attributes:
        bytes: of the next piece.
        known_fast: whether several may be under way at once.
    """

    def __init__(self, largest_bytes: int = LARGEST_BYTES) -> None:
        self.bytes = FIRST_BYTES
        self._largest_bytes = largest_bytes

    @property
    def known_fast(self) -> bool:
        """Whether a first piece was quick, and none was slow since."""
        return self.bytes > FIRST_BYTES

    def note(self, seconds: float) -> None:
        """Take note of how long a piece took."""
        if seconds < QUICK_S:
            self.bytes = min(2 * self.bytes, self._largest_bytes)
        elif seconds > SLOW_S:
            self.bytes = max(self.bytes // 4, SMALLEST_BYTES)
