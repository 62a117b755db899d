"""A controller runs on every Python from 3.11 on: a light night under each one of this machine."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from night import PROJECT
from own_network import inside_machines
from pythons_here import each_python, pythons
from uv import find_uv_bin

from ci.prepare.recipes.uv_settings import index_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

PATIENCE_S = 300
VERSIONS = {path: version for version, path in pythons().items()}


def uv(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_uv_bin(), *arguments],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROJECT,
        env={**os.environ, **index_settings()},
        timeout=PATIENCE_S,
    )


@pytest.fixture(params=each_python(11))
def controller(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """An environment with what pyproject.toml asks for: its Python, and the version of that."""
    venv = tmp_path / "venv"
    made = uv("venv", "--quiet", "--python", request.param, str(venv))
    assert made.returncode == 0, made.stderr
    python = str(venv / "bin" / "python")
    install = ("pip", "install", "--quiet", "--python", python, "-r", "pyproject.toml")
    # uv's own cache first: it takes a second, and needs no index.
    installed = [uv(*install, "--offline")]
    if installed[0].returncode != 0:
        with inside_machines(request.config):
            installed.append(uv(*install))
    if installed[-1].returncode != 0:
        pytest.skip(f"no packages for this Python: {installed[-1].stderr.strip()[-300:]}")
    return python, VERSIONS[request.param]


def test_a_night_passes_without_a_warning(controller: tuple[str, str], begin: Callable[..., Night]):
    python, version = controller
    night = begin(invoke=(python, "-X", "dev", "-m", "invoke"))
    assert night.finish() == 0
    assert str(PROJECT) not in night.output
    assert night.record["outcome"] == "pass"
    assert night.record["versions"]["python"] == version
    assert night.log("localhost", "server-0")
