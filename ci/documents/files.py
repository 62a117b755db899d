"""Read a file that an operator named, or say what is wrong with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.source import MAX_BYTES
from ci.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def bytes_of(path: Path) -> bytes:
    """Read a file whole, or a byte more than may be in it.

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
    """Whether there is a file that can be read, whatever text the path was made of."""
    try:
        return path.is_file()
    except OSError:
        # Too long a name, or a folder that may not be searched: no file that we could read.
        return False


def is_folder(path: Path) -> bool:
    """Whether there is a folder, whatever text the path was made of."""
    try:
        return path.is_dir()
    except OSError:
        return False
