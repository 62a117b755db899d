"""Where things lie: the project, its configs, and this machine's workspace."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
CONFIGS = PROJECT / "configs"
# As the operator would name it, from whichever folder of the project.
CASES = Path(os.path.relpath(CONFIGS / "cases"))


def workspace_of(chosen: str) -> str:
    """Say which folder of this machine holds environments, models and the state of runs."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = chosen or os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    return str(Path(folder).expanduser().absolute())
