"""Hosts of another architecture, where this machine can emulate one."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import pytest
from own_network import inside_machines

from ci.errors import LamplighterError
from ci.lab.debian_root import DEBIAN, root_of

if TYPE_CHECKING:
    from pathlib import Path

OURS = platform.machine()
OTHER = "x86_64" if OURS == "aarch64" else "aarch64"


def need_root_of(config: pytest.Config, machine: str, debian: str = DEBIAN) -> Path:
    """Make the root of such hosts, or skip with the reason."""
    try:
        with inside_machines(config):
            return root_of(machine, debian)
    except LamplighterError as error:
        pytest.skip(f"no {machine} hosts here: {error}")
