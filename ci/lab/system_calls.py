"""Linux system calls without a function in Python's standard library."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: object) -> None:
    """Call a libc function; strings are passed as bytes.

    Raises:
        OSError: the call failed; has its name and arguments.
    """
    packed = [item.encode() if isinstance(item, str) else item for item in arguments]
    if getattr(LIBC, name)(*packed) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def attach(source: str, target: Path, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount a file system; see mount(2) for the arguments."""
    call("mount", source, str(target), kind, ctypes.c_ulong(flags), data)
