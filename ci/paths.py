"""Where things lie: the project, its configs, and this machine's workspace."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ci.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"
# As the operator would name it, from whichever folder of the project.
CASES = Path(os.path.relpath(CONFIGS / "cases"))


def workspace_of(chosen: str) -> str:
    """Say which folder of this machine holds environments, models and the state of runs.

    Raises:
        UserError: it is a file, or lies below one.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    path = Path(folder).expanduser().absolute()
    if _is_file(path):
        raise UserError(f"{path}: is a file, but the workspace has to be a folder; name another")
    return str(path)


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return any(one.is_file() for one in (path, *path.parents))
    return False
