"""Find and read files below a run's folder, which may come from another machine."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


def path_below(folder: Path, name: str) -> Path:
    """Return the path of a file or folder below a folder.

    Raises:
        OSError: the name, or a link on the way, leads out of the folder.
    """
    path = folder / name
    if "\0" in name:  # otherwise a ValueError, and names come from other machines
        raise OSError(errno.EINVAL, "is not a name of a file", name)
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise OSError(errno.EXDEV, "leads outside the run's folder", str(path))
    return path


def read_below(folder: Path, name: str, max_bytes: int) -> bytes:
    """Read a regular file below a folder; wait for no FIFO or device.

    Raises:
        OSError: it cannot be read, it is something else than a file, it is larger than the limit,
            or it is not below the folder.
    """
    path = path_below(folder, name)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "is not a regular file", str(path))
        with os.fdopen(handle, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(handle)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"is larger than {max_bytes >> 20} MiB", str(path))
    return data
