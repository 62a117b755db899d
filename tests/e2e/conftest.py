"""Nights with real vLLM, in the workspace where environments are kept from run to run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hosts_here import assert_given_back, held_port

from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from night import Night

# Two tests run at once: bound by vLLM, the servers of both would compute on the same core of two.
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
  VLLM_CPU_OMP_THREADS_BIND: nobind
  OMP_NUM_THREADS: 1
deployment:
  - server_cmd: >
      vllm serve $MODEL --served-model-name smollm2 --host 127.0.0.1 --port $SERVER_PORT
      --max-model-len 1024 --max-num-seqs 16 --enforce-eager {flags}
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--vllm", default="0.32.0", help="version of configs/versions.yaml to serve")
    parser.addoption("--device", default="", help="cpu, cuda or ascend; default: what is here")


@pytest.fixture(scope="session")
def vllm(request: pytest.FixtureRequest) -> str:
    return request.config.getoption("--vllm")


@pytest.fixture(scope="session")
def case() -> Callable[..., str]:
    """Return a case that serves the small model with these benchmarks and flags."""

    def text(benchmarks: str = "", flags: str = "") -> str:
        with held_port() as port:
            return HEAD.format(port=port, flags=flags) + benchmarks

    return text


@pytest.fixture
def given_back() -> Iterator[None]:
    """See that nothing of a test's runs is left on this machine."""
    yield
    assert_given_back(workspace_of(""))


@pytest.fixture
def start(
    request: pytest.FixtureRequest, vllm: str, given_back: None, start_night: Callable[..., Night]
) -> Callable[..., Night]:
    """Start `inv nightly` with the version and the device of the session."""
    device = request.config.getoption("--device")
    chosen = ["--vllm", vllm, *(["--device", device] if device else [])]
    return lambda case, *flags: start_night(case, *chosen, *flags)
