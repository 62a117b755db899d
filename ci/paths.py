"""Locate the project, its configs, and this machine's workspace."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ci.errors import UserError

# Folders of its programs have their plain names, those of other architectures not.
PLAIN_MACHINE = "x86_64"
PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"
# Only some uses of the path expand variables on a host; the others would use another folder.
VARIABLE_IN_WORKSPACE = "has a '$', but variables are not expanded in a workspace; write it out"
# Relative to the current folder, as the operator would type it.
CASES = Path(os.path.relpath(CONFIGS / "cases"))
SUITES = Path(os.path.relpath(CONFIGS / "suites"))
BASELINES = Path(os.path.relpath(CONFIGS / "baselines"))


def at_home(path: str, home: str) -> str:
    """Replace a leading `~` of a host's path by its user's home, as a shell does.

    Args:
        path: on the host; `~` elsewhere in it, or before a user's name, stays.
        home: home folder of the user there.
    """
    return home + path[1:] if path == "~" or path.startswith("~/") else path


def at_home_here(path: str) -> Path:
    """Replace a leading `~` or `~NAME` of a path here; an unknown user's `~NAME` stays."""
    return Path(os.path.expanduser(path))  # noqa: PTH111 - Path's own raises for such a user


def of_machine(folder: str, machine: str) -> str:
    """Name a folder of programs for an architecture: hosts of several may share a workspace.

    Args:
        folder: its plain name, which x86-64 has; a name that has the architecture stays.
        machine: the architecture, as `uname -m` prints it; empty if unknown.
    """
    mark = "" if machine in {"", PLAIN_MACHINE} else f"-{machine}"
    return folder if folder.endswith(mark) else folder + mark


def absolute(path: Path) -> Path:
    """Make a path absolute; with `..` in it also canonical, because `link/..` is elsewhere."""
    return Path(os.path.realpath(path)) if ".." in path.parts else path.absolute()


def workspace_of(chosen: str) -> str:
    """Return the folder of this machine for environments, models and the state of runs.

    Args:
        chosen: by the operator; empty for the default.

    Raises:
        UserError: it is a file, or below one, or its name has a variable.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    path = absolute(at_home_here(folder))
    if "$" in str(path):
        raise UserError(f"workspace {path} {VARIABLE_IN_WORKSPACE}")
    if _is_file(path):
        raise UserError(f"{path}: is a file, but the workspace has to be a folder; choose another")
    return str(path)


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return any(folder.is_file() for folder in (path, *path.parents))
    return False
