"""Prefill and decode apart, for real: two vLLM servers, their KV cache handed over, a router."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back
from night import INVOKE, PROJECT
from packaging.version import Version

from ci.paths import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HITS = re.compile(r"^vllm:external_prefix_cache_hits_total\{.*\} ([\d.e+]+)$", re.MULTILINE)
# Before it the connector of the case had another name and needed a GPU to load what it had stored.
SINCE = "0.13.0"
# Longer than a block, which has 128 tokens on a CPU.
PROMPT = "Count with me: " + ", ".join(str(number) for number in range(1, 120))


@pytest.fixture
def inv(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Type an `inv` command; afterwards nothing of any run of it is left on this machine."""

    def type_(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*INVOKE, *words, "--runs", str(tmp_path / "runs")]
        ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
        print(ended.stdout, ended.stderr)
        return ended

    yield type_
    for folder in (tmp_path / "runs").glob("*"):
        type_("down", "--run", folder.name)
    assert_given_back(workspace_of(""))


def ask(url: str, request: dict[str, Any] | None = None) -> str:
    data = None if request is None else json.dumps(request).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return reply.read().decode()


def test_a_prompt_is_prefilled_by_one_server_and_decoded_by_the_other(
    inv, vllm: str, tmp_path: Path
):
    if Version(vllm) < Version(SINCE):
        pytest.skip(f"vLLM {vllm} hands no KV cache over on a CPU; {SINCE} and later do")
    brought_up = inv("up", "--config", "local-pd.yaml", "--local", "--vllm", vllm)
    assert brought_up.returncode == 0
    assert "http://127.0.0.1:18270" in brought_up.stdout
    request = {"model": "smollm2", "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
    answer = json.loads(ask("http://127.0.0.1:18270/v1/completions", request))
    assert answer["usage"]["completion_tokens"] == 8
    # The decoder had the prompt's blocks from the prefiller, and did not compute them.
    (hits,) = HITS.findall(ask("http://127.0.0.1:18272/metrics"))
    assert float(hits) >= 128
    (folder,) = (tmp_path / "runs").iterdir()
    ended = inv("down", "--run", folder.name)
    assert ended.returncode == 0
    for process in ("server-0", "server-1", "router"):
        assert f"ended {process} of" in ended.stdout
    assert not [*Path(workspace_of("")).glob(f".lamplighter/*/{folder.name}")]
