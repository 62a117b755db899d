"""Nights with real vLLM, in the workspace where environments are kept from run to run."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back

from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
# Only ends a test that has failed.
NIGHT_S = 7200

HEAD = """\
test_name: "end to end"
model: "SmolLM2-135M-Instruct"
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
ready_timeout_s: 1800
env_common:
  SERVER_PORT: {port}
  HF_HUB_OFFLINE: 1
  VLLM_NO_USAGE_STATS: 1
  VLLM_CPU_KVCACHE_SPACE: 1
deployment:
  - server_cmd: >
      vllm serve $MODEL --served-model-name smollm2 --host 127.0.0.1 --port $SERVER_PORT
      --max-model-len 1024 --max-num-seqs 16 --enforce-eager {flags}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", default="0.32.0", help="version of configs/versions.yaml to serve")
    parser.addoption("--device", default="", help="cpu, cuda or ascend; default: what is here")


@dataclass(frozen=True)
class Ended:
    """A night that is over: its exit code, what it printed, and its record."""

    code: int
    output: str
    folder: Path

    @property
    def record(self) -> dict[str, Any]:
        return json.loads((self.folder / "run.json").read_text())


@pytest.fixture(scope="session")
def vllm(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--vllm")


@pytest.fixture(scope="session")
def write_case() -> Callable[..., Path]:
    """Write a case that serves the small model with these benchmarks and flags into a folder."""

    def write(folder: Path, benchmarks: str = "", flags: str = "") -> Path:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        path = folder / "case.yaml"
        path.write_text(HEAD.format(port=port, flags=flags) + benchmarks)
        return path

    return write


@pytest.fixture
def case(tmp_path: Path, write_case: Callable[..., Path]) -> Callable[..., Path]:
    """Write a case into the test's own folder."""
    return functools.partial(write_case, tmp_path)


@pytest.fixture
def start(
    request: pytest.FixtureRequest, tmp_path: Path, vllm: str
) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start `inv nightly`; afterwards nothing of it is left on this machine."""
    begun: list[subprocess.Popen[str]] = []

    def begin(config: Path, *flags: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "invoke", "nightly", "--config", str(config), *flags]
        argv += ["--runs", str(tmp_path / "runs"), "--vllm", vllm]
        if device := request.config.getoption("--device"):
            argv += ["--device", device]
        process = subprocess.Popen(
            argv,
            cwd=PROJECT,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "CI": "true"},
        )
        begun.append(process)
        return process

    yield begin
    for process in begun:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=600)
    assert_given_back(workspace_of(""))


@pytest.fixture
def finish(tmp_path: Path) -> Callable[[subprocess.Popen[str]], Ended]:
    def wait(process: subprocess.Popen[str]) -> Ended:
        output, _ = process.communicate(timeout=NIGHT_S)
        print(output)
        (folder,) = (tmp_path / "runs").iterdir()
        return Ended(process.returncode, output, folder)

    return wait
