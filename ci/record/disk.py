"""Write to the run's folder; a failed write never ends the night."""

from __future__ import annotations

import errno
import os
import secrets
from contextlib import suppress
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.record.below import path_below

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RESERVE = ".reserve"
RESERVE_BYTES = 64 * 1024


class Folder:
    """A folder whose failed writes are recorded and reported, not raised.

    Attributes:
        path: the folder; it exists.
        first_failure: file and error of the first failed write; None if there is none.
    """

    def __init__(
        self, path: Path, warn: Callable[[str], None], then: str = "the night goes on"
    ) -> None:
        """Use a folder.

        Args:
            path: the folder.
            warn: called with a message at the first failed write.
            then: the consequence of a failed write, for that message.
        """
        self.path = path
        self._then = then
        self.first_failure: str | None = None
        self._warn = warn
        self._unwritten: dict[str, list[str]] = {}

    def write(self, name: str, text: str) -> bool:
        """Write a file atomically, so that a reader sees the old or the new content."""
        target = self.path / name
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            path_below(self.path, os.path.dirname(name))  # noqa: PTH120 - `name` is text
            target.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("x", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            partial.replace(target)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            return self._failed(name, error)
        return True

    def append(self, name: str, line: str = "") -> bool:
        """Append a line to a file, after unwritten lines; an empty line only writes those."""
        unwritten = self._unwritten.setdefault(name, [])
        if line:
            unwritten.append(line + "\n")
        try:
            data = "".join(unwritten).encode(errors="backslashreplace")
            _append_whole(path_below(self.path, name), data)
        except OSError as error:
            return self._failed(name, error)
        unwritten.clear()
        return True

    def release(self) -> None:
        """Free the reserved space."""
        with suppress(OSError):
            (self.path / RESERVE).unlink(missing_ok=True)

    def _failed(self, name: str, error: OSError) -> bool:
        if self.first_failure is None:
            why = error.strerror or str(error)
            self.first_failure = f"{name}: {why}"
            advice = "; free some space there" if is_full(error) else ""
            self._warn(f"cannot write {self.path / name}: {why}; {self._then}{advice}")
        return False


def make_folder(path: Path) -> Path:
    """Make a new folder, and reserve space in it for the last writes.

    Raises:
        InfrastructureError: the disk is full.
        UserError: the folder cannot be made.
    """
    try:
        path.mkdir(parents=True)
        # Random, so that a compressing file system reserves the space too.
        (path / RESERVE).write_bytes(os.urandom(RESERVE_BYTES))
    except OSError as error:
        if is_full(error):
            with suppress(OSError):  # a folder without a record would look like a run
                (path / RESERVE).unlink(missing_ok=True)
                path.rmdir()
            raise InfrastructureError(f"no space left for {path}; free some and retry") from None
        why = error.strerror or str(error)
        raise UserError(f"cannot make {path}: {why}; fix it or choose another folder") from None
    return path


def is_full(error: OSError) -> bool:
    """Return whether a write failed because the disk or the quota is full."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT}


def _append_whole(path: Path, data: bytes) -> None:
    """Append all data or none, because a partial line would damage the next one."""
    if not data:
        return
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        if os.write(descriptor, data) < len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    finally:
        os.close(descriptor)
