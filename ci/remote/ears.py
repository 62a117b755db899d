"""Many handles listened to at once, each with what is to be done when there is something to read.

`selectors` with what it imports takes a third of Python's start.
"""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterator


class Ears:
    """Handles, and who is called about them."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._hearers: Dict[int, Callable[[], None]] = {}

    def hark(self, handle: int, hear: Callable[[], None]) -> None:
        """Have `hear` called whenever there is something to read, or the other end has gone."""
        self._poll.register(handle, select.POLLIN)
        self._hearers[handle] = hear

    def leave(self, handle: int) -> None:
        """Hark no more; twice is fine."""
        if self._hearers.pop(handle, None):
            self._poll.unregister(handle)

    def heard(self, pause_s: float) -> Iterator[Callable[[], None]]:
        """Wait at most so long; gives whom to call, but for those who have left meanwhile."""
        for handle, _ in self._poll.poll(1000 * pause_s):
            if handle in self._hearers:
                yield self._hearers[handle]
