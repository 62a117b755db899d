"""Wait for many file descriptors at once, each with a callback."""

from __future__ import annotations

import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Dict, Iterator


class Poller:
    """File descriptors and their callbacks. For a single thread."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._callbacks: Dict[int, Callable[[], None]] = {}

    def register(self, handle: int, callback: Callable[[], None]) -> None:
        """Let `ready` return `callback` while there is data to read, or the peer has closed."""
        self._poll.register(handle, select.POLLIN)
        self._callbacks[handle] = callback

    def unregister(self, handle: int) -> None:
        """Remove a file descriptor; idempotent."""
        if self._callbacks.pop(handle, None):
            self._poll.unregister(handle)

    def ready(self, timeout_s: float) -> Iterator[Callable[[], None]]:
        """Wait for `timeout_s` at most; yield the callbacks of the descriptors that are ready.

        A callback may unregister others; their callbacks are not called.
        """
        for handle, _ in self._poll.poll(1000 * timeout_s):
            if handle in self._callbacks:
                yield self._callbacks[handle]
