"""How long a process runs without contact with a controller."""

from __future__ import annotations

import os
import time

from ci.remote.lean import suppress


class Lease:
    """The lease of a process; a changed time of the file `lease` in its folder renews it too."""

    def __init__(self, folder: str, seconds: float) -> None:
        self.seconds = seconds
        self._path = os.path.join(folder, "lease")
        os.close(os.open(self._path, os.O_CREAT | os.O_WRONLY, 0o600))
        self._mtime_ns = os.stat(self._path).st_mtime_ns
        self._renewed = time.monotonic()

    def renew(self) -> None:
        """Renew it, after a beat of the controller."""
        self._renewed = time.monotonic()
        with suppress(OSError):
            os.utime(self._path)

    def keep(self, seconds: float) -> None:
        """Let the process run for some seconds without a controller."""
        self._renewed, self.seconds = time.monotonic(), seconds

    def has_expired(self) -> bool:
        """Return whether the controller was silent for too long."""
        now = time.monotonic()
        # The wall clock may jump, so a changed time shows that the lease was renewed, but not when.
        with suppress(OSError):
            mtime_ns = os.stat(self._path).st_mtime_ns
            if mtime_ns != self._mtime_ns:
                self._mtime_ns, self._renewed = mtime_ns, now
        return now - self._renewed > self.seconds
