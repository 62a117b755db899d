"""Read a file that the operator named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.source import MAX_BYTES
from ci.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def read_bytes(path: Path) -> bytes:
    """Read at most `MAX_BYTES` + 1 bytes of a file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: cannot be read: {reason}; check the path") from error


def is_file(path: Path) -> bool:
    """Return whether the path is a file; False if it cannot be checked."""
    try:
        return path.is_file()
    except OSError:
        # The name is too long, or a folder is not accessible: such a file cannot be read either.
        return False


def is_folder(path: Path) -> bool:
    """Return whether the path is a folder; False if it cannot be checked."""
    try:
        return path.is_dir()
    except OSError:
        return False
