"""List the files of a model's folder on this machine; links out of the folder are errors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci.agent.send_file import Source
from ci.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path


def files_of(folder: Path) -> dict[str, Source]:
    """List every file below a folder except hidden ones, sorted: relative name → source.

    Links to files within the folder, and to the blobs of the model hub's cache, are followed; links
    to folders are not.

    Raises:
        UserError: the folder does not exist or is empty, or a link leads out of it.
    """
    if not folder.is_dir():
        raise UserError(f"--source {folder}: not a folder on this machine; check the path")
    _require_open(folder)
    home = folder.resolve()
    roots = [home]
    if home.parent.name == "snapshots":  # the layout of huggingface_hub's cache
        roots.append(home.parent.parent / "blobs")
    sources = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or name.suffix == ".part":
            continue
        real = path.resolve()
        if path.is_dir() and not path.is_symlink():
            _require_open(path)
        if path.is_symlink() and not any(real.is_relative_to(root) for root in roots):
            raise UserError(
                f"{path} is a link to {real}, outside of {folder}; replace it with the file itself"
            )
        if real.is_file() and _readable(real):
            sources[str(name)] = Source(real)
    if not sources:
        raise UserError(f"--source {folder}: it has no files; give the model's own folder")
    return sources


def _require_open(folder: Path) -> None:
    """Refuse a folder that this user may not list: `rglob` would silently skip it."""
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UserError(f"--source {folder}: not readable by this user; check its permissions")


def _readable(path: Path) -> bool:
    try:
        path.open("rb").close()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; make it readable for this user") from None
    return True
