"""Prefill and decode apart, for real: two vLLM servers, their KV cache handed over, a router."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back
from packaging.version import Version

from ci.nodes import workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
HITS = re.compile(r"^vllm:external_prefix_cache_hits_total\{.*\} ([\d.e+]+)$", re.MULTILINE)
INJECTED = re.compile(r"Inject KV cache of (\d+) tokens")
# Longer than a block, which has 128 tokens on a CPU.
# It was called so before 0.13, when there was no such metric either.
EARLIER_CONNECTOR = "SharedStorageConnector"
PROMPT = "Count with me: " + ", ".join(str(number) for number in range(1, 120))


@pytest.fixture
def inv(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Type an `inv` command; afterwards nothing of any run of it is left on this machine."""

    def type_(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "invoke", *words, "--runs", str(tmp_path / "runs")]
        ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
        print(ended.stdout, ended.stderr)
        return ended

    yield type_
    for folder in (tmp_path / "runs").glob("*"):
        type_("down", "--run", folder.name)
    assert_given_back(workspace_of(""))


@pytest.fixture
def local_pd(tmp_path: Path, vllm: str) -> Path:
    """configs/cases/local-pd.yaml, with the connector as this version calls it."""
    case = PROJECT / "configs" / "cases" / "local-pd.yaml"
    if not is_earlier(vllm):
        return case
    changed = tmp_path / "local-pd.yaml"
    changed.write_text(case.read_text("utf-8").replace("ExampleConnector", EARLIER_CONNECTOR))
    return changed


def is_earlier(vllm: str) -> bool:
    return Version(vllm) < Version("0.13")


def ask(url: str, wish: dict[str, Any] | None = None) -> str:
    data = None if wish is None else json.dumps(wish).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return reply.read().decode()


def handed_over(vllm: str, log: Path) -> int:
    """How many tokens the decoder had from the prefiller, and did not compute."""
    if is_earlier(vllm):
        text = log.read_text(errors="replace")
        assert "External Cache Hit!" in text
        return sum(int(tokens) for tokens in INJECTED.findall(text))
    (hits,) = HITS.findall(ask("http://127.0.0.1:18272/metrics"))
    return int(float(hits))


def test_a_prompt_is_prefilled_by_one_server_and_decoded_by_the_other(
    inv, local_pd: Path, vllm: str, tmp_path: Path
):
    brought_up = inv("up", "--config", str(local_pd), "--local", "--vllm", vllm)
    assert brought_up.returncode == 0
    assert "http://127.0.0.1:18270" in brought_up.stdout
    wish = {"model": "smollm2", "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
    answer = json.loads(ask("http://127.0.0.1:18270/v1/completions", wish))
    assert answer["usage"]["completion_tokens"] == 8
    (folder,) = (tmp_path / "runs").iterdir()
    kept = Path(workspace_of("")) / ".lamplighter" / folder.name
    assert handed_over(vllm, kept / "server-1" / "log") >= 128
    ended = inv("down", "--run", folder.name)
    assert ended.returncode == 0
    for process in ("server-0", "server-1", "router"):
        assert f"ended {process} of" in ended.stdout
    assert not kept.exists()
