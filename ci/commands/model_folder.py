"""The files of a model's folder on this machine. Follows no link out of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci.agent.send_file import Source
from ci.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def files_of(folder: Path) -> dict[str, Source]:
    """Every file below a folder, hidden ones left out: relative name → source, in order.

    A link to a file is followed within the folder, and to the blobs of the model hub's cache; a
    link to a folder is not.

    Raises:
        UserError: there is no such folder, nothing is in it, or a link leads out of it.
    """
    if not folder.is_dir():
        raise UserError(f"--source {folder}: there is no such folder here; check the path")
    _require_open(folder)
    home = folder.resolve()
    roots = [home]
    if home.parent.name == "snapshots":  # as huggingface_hub lays out its cache
        roots.append(home.parent.parent / "blobs")
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or name.suffix == ".part":
            continue
        real = path.resolve()
        if path.is_dir() and not path.is_symlink():
            _require_open(path)
        if path.is_symlink() and not any(real.is_relative_to(root) for root in roots):
            raise UserError(
                f"{path} is a link to {real}, outside of {folder}; put the file itself there"
            )
        if real.is_file() and _readable(real):
            found[str(name)] = Source(real)
    if not found:
        raise UserError(f"--source {folder}: no file is in it; name the model's own folder")
    return found


def _require_open(folder: Path) -> None:
    """Refuse a folder that may not be listed; searching it would find nothing, without a word."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"--source {folder}: may not be read by this user; see its permissions")


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; let {path.parent} be readable") from None
    return True
