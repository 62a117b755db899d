"""One maker of labs at a time on a machine, whichever process and network namespace it is in."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Wait until no other process makes or ends a lab, or installs packages for one.

    Two labs that begin at once would choose the same network or port, and the last one to end takes
    away what all share. A folder can be locked as well as a file, and nothing is left behind. Not
    reentrant.
    """
    # The same folder for everybody: not TMPDIR, which differs from process to process.
    held = os.open("/run" if os.geteuid() == 0 else "/tmp", os.O_RDONLY | os.O_DIRECTORY)  # noqa: S108
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
