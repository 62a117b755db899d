"""A controller runs on every Python from 3.11 on: a light night under each one of this machine."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest
from hosts_here import assert_given_back
from own_network import inside_machines
from pythons_here import each_python, pythons
from uv import find_uv_bin

from ci.prepare.recipes.uv_settings import index_settings

PROJECT = Path(__file__).parents[3]
SERVER = Path(__file__).parents[1] / "light_server.py"
PATIENCE_S = 300
VERSIONS = {path: version for version, path in pythons().items()}

CASE = """\
test_name: "a light night"
model: light
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
env_common: {{SERVER_PORT: {port}}}
deployment:
  - server_cmd: "{python} {server} $SERVER_PORT good --port $SERVER_PORT"
"""


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


def test_a_night_passes_without_a_warning(controller: tuple[str, str], tmp_path: Path):
    python, version = controller
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    case, workspace = tmp_path / "case.yaml", tmp_path / "workspace"
    case.write_text(CASE.format(python=python, server=SERVER, port=port))
    argv = [python, "-X", "dev", "-m", "invoke", "nightly", "--config", str(case)]
    argv += ["--runs", str(tmp_path / "runs"), "--workspace", str(workspace)]
    ended = subprocess.run(
        argv,
        cwd=PROJECT,
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": "true"},
        timeout=PATIENCE_S,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ours = [line for line in ended.stderr.splitlines() if str(PROJECT) in line]
    assert ours == []
    (record,) = (tmp_path / "runs").glob("*/run.json")
    run = json.loads(record.read_text())
    assert (run["outcome"], run["versions"]["python"]) == ("pass", version)
    assert (record.parent / "logs" / "localhost" / "server-0.log").read_text()
    assert_given_back(workspace)
