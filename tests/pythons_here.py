"""The Pythons of this machine, found where they usually are: for tests that run under each."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

NEWEST = 14
# Besides the folders of PATH; version managers put there what PATH does not show.
FOLDERS = ("~/.pyenv/versions/*/bin", "~/.local/share/uv/python/*/bin", "/opt/python*/bin")
ASK = "import sys; print(*sys.version_info[:3], sep='.'); print(sys.prefix == sys.base_prefix)"
ANSWER_S = 30


@functools.cache
def pythons() -> dict[str, str]:
    """Version → interpreter, oldest first; environments and shims that run nothing are left out."""
    pythons: dict[str, str] = {}
    for folder in _folders():
        for path in sorted(folder.glob("python3.*")):
            minor = path.name.removeprefix("python3.")
            if minor.isdigit() and 8 <= int(minor) <= NEWEST and os.access(path, os.X_OK):
                version = _version(str(path))
                if version:
                    pythons.setdefault(version, str(path))
    return dict(sorted(pythons.items(), key=lambda item: key(item[0])))


def key(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def each_python(oldest_minor: int) -> list:
    """A test's parameters: every version from 3.`oldest_minor` on that this machine has."""
    return [
        pytest.param(path, id=version)
        for version, path in pythons().items()
        if key(version)[1] >= oldest_minor
    ]


def _folders() -> list[Path]:
    on_path = [Path(text) for text in os.environ["PATH"].split(":") if text]
    further = [Path("/").glob(str(Path(pattern).expanduser())[1:]) for pattern in FOLDERS]
    return [*on_path, *(folder for folders in further for folder in sorted(folders))]


def _version(path: str) -> str:
    """Ask an interpreter; empty where it does not run, or is an environment's."""
    try:
        answer = subprocess.run(
            [path, "-c", ASK], check=False, capture_output=True, text=True, timeout=ANSWER_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    version, _, is_base = answer.stdout.strip().partition("\n")
    return version if is_base == "True" and path != sys.executable else ""
