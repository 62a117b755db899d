"""Fixtures of the integration tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def tool_bin() -> Callable[[str], str]:
    """Find the folder of a tool environment's executables, or skip with the reason."""

    def find(environment: str) -> str:
        variable = f"LAMPLIGHTER_TEST_{environment.upper()}_BIN"
        folder = os.environ.get(variable, "")
        if not Path(folder, "python").exists():
            pytest.skip(f"no {environment} here: `nox -s tests` makes it, or set {variable}")
        return folder

    return find
