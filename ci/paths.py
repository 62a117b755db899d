"""Where things lie: the project, its configs, and this machine's workspace."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ci.errors import UserError

PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"
# Only some of what a path becomes is expanded on a host: a part of it would lie elsewhere.
VARIABLE_IN_WORKSPACE = "has a '$', but variables are not expanded in a workspace; write it out"
# As the operator would name it, from whichever folder of the project.
CASES = Path(os.path.relpath(CONFIGS / "cases"))


def at_home(path: str, home: str) -> str:
    """Write a host's path with its user's home in place of a `~` that begins it, as a shell does.

    Args:
        path: on the host; a `~` elsewhere in it, or before a user's name, is like any character.
        home: of the user there.
    """
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def at_home_here(path: str) -> Path:
    """Write a path of this machine likewise; `~NAME` of a user that there is not stays as it is."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises for such a user


def workspace_of(chosen: str) -> str:
    """Say which folder of this machine holds environments, models and the state of runs.

    Raises:
        UserError: it is a file, or lies below one, or a variable is in its name.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    path = at_home_here(folder).absolute()
    if "$" in str(path):
        raise UserError(f"workspace {path} {VARIABLE_IN_WORKSPACE}")
    if _is_file(path):
        raise UserError(f"{path}: is a file, but the workspace has to be a folder; name another")
    return str(path)


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return any(one.is_file() for one in (path, *path.parents))
    return False
