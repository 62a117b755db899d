"""Locks on folders, for making and ending labs across processes and network namespaces."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def machine_lock() -> Iterator[None]:
    """Hold the lock for making and ending labs and for installing packages; not reentrant.

    Without it, two labs that start together would choose the same network or port, and the last
    lab to end would remove what another still uses. The lock is on a folder, so no file remains.
    """
    # The same folder for every process, so not TMPDIR.
    with lock_of(Path("/run" if os.geteuid() == 0 else "/tmp")):  # noqa: S108
        yield


@contextmanager
def lock_of(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; not reentrant."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
