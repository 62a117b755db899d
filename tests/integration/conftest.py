"""Fixtures of the integration tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="session")
def tool_bin() -> Callable[[str], str]:
    """Find the folder of a tool environment's executables, or skip with the reason."""

    def find(environment: str) -> str:
        variable = f"LAMPLIGHTER_TEST_{environment.upper()}_BIN"
        if variable not in os.environ:
            pytest.skip(f"{variable} is unset: no environment with {environment} to test with")
        return os.environ[variable]

    return find
