"""Prefill and decode apart, for real: vLLM servers, their KV cache handed over, a router."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hosts_here import assert_given_back
from night import INVOKE, PROJECT, runs_in
from packaging.version import Version

from ci.paths import CONFIGS, workspace_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from night import Night

    from ci.lab.model import Lab

HITS = re.compile(r"^vllm:external_prefix_cache_hits_total\{.*\} ([\d.e+]+)$", re.MULTILINE)
# Before it the connector of the case had another name and needed a GPU to load what it had stored.
SINCE = "0.13.0"
# Longer than a block, which has 128 tokens on a CPU.
PROMPT = "Count with me: " + ", ".join(str(number) for number in range(1, 120))


PROVEN = [
    f"prefill/decode: {name}" for name in ("answers", "prefill", "decode", "cache", "same answers")
]
PORT = 18370
# Two prefill servers and one decode server, each on a host; the hosts share the folder KV.
SERVER = """\
vllm serve $MODEL --served-model-name smollm2 --host 0.0.0.0 --port $SERVER_PORT \
--max-model-len 1024 --max-num-seqs 8 --enforce-eager --no-enable-prefix-caching \
--enable-auto-tool-choice --tool-call-parser hermes --kv-transfer-config \
'{"kv_connector": "ExampleConnector", "kv_role": "kv_both", \
"kv_connector_extra_config": {"shared_storage_path": "KV"}}'"""


def needs_handover(vllm: str) -> None:
    if Version(vllm) < Version(SINCE):
        pytest.skip(f"vLLM {vllm} hands no KV cache over on a CPU; {SINCE} and later do")


@pytest.fixture
def inv(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Type an `inv` command; afterwards nothing of any run of it is left on this machine."""

    def type_(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [*INVOKE, *words, "--runs", str(tmp_path / "runs")]
        ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
        print(ended.stdout, ended.stderr)
        return ended

    yield type_
    for folder in runs_in(tmp_path / "runs"):
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
    needs_handover(vllm)
    brought_up = inv("up", "--config", "local-pd.yaml", "--local", "--vllm", vllm)
    assert brought_up.returncode == 0
    assert "http://127.0.0.1:18270" in brought_up.stdout
    request = {"model": "smollm2", "prompt": PROMPT, "max_tokens": 8, "temperature": 0}
    answer = json.loads(ask("http://127.0.0.1:18270/v1/completions", request))
    assert answer["usage"]["completion_tokens"] == 8
    # The decoder had the prompt's blocks from the prefiller, and did not compute them.
    (hits,) = HITS.findall(ask("http://127.0.0.1:18272/metrics"))
    assert float(hits) >= 128
    (folder,) = runs_in(tmp_path / "runs")
    checks = json.loads((folder / "run.json").read_text("utf-8"))["checks"]
    assert {check["name"]: check["outcome"] for check in checks}.items() >= {
        *((name, "pass") for name in PROVEN)
    }
    ended = inv("down", "--run", folder.name)
    assert ended.returncode == 0
    for process in ("server-0", "server-1", "router"):
        assert f"ended {process} of" in ended.stdout
    assert not [*Path(workspace_of("")).glob(f".lamplighter/*/{folder.name}")]


def suite_of(folder: Path) -> Path:
    """Write every tenth case of our suite, without the prompt that ends an ExampleConnector."""
    document = yaml.safe_load((CONFIGS / "functional" / "openai.yaml").read_text("utf-8"))
    cases = [case for case in document["cases"] if case["id"] != "completions_prompt_one_token"]
    keys = {key: document[key] for key in ("capabilities", "defaults")}
    path = folder / "suite.yaml"
    path.write_text(json.dumps({**keys, "cases": cases[::10]}, ensure_ascii=False))
    return path


@pytest.fixture
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all hosts of the lab write to."""
    return tmp_path_factory.mktemp("kv")


@pytest.fixture
def three_hosts(as_root: None, labs: Callable[..., Lab], shared: Path) -> Lab:
    return labs(3, workspace=workspace_of(""), shown=[PROJECT], shared_home=shared)


@pytest.mark.long
def test_two_prefill_servers_and_a_decode_server_on_three_hosts(
    three_hosts: Lab, shared: Path, start: Callable[..., Night], vllm: str, tmp_path: Path
):
    """The answers through the proxy are those of the decode server, and its health is the truth."""
    needs_handover(vllm)
    case = {
        "test_name": "two prefill servers, one decode server",
        "model": "SmolLM2-135M-Instruct",
        "num_nodes": 3,
        "device": "cpu",
        "npu_per_node": 0,
        "ready_timeout_s": 1800,
        "env_common": {
            "SERVER_PORT": PORT,
            "HF_HUB_OFFLINE": 1,
            "VLLM_NO_USAGE_STATS": 1,
            "VLLM_CPU_KVCACHE_SPACE": 1,
        },
        "disaggregated_prefill": {"prefiller_host_index": [0, 1], "decoder_host_index": [2]},
        "router": {
            "script": str(CONFIGS / "proxies" / "prefill_decode_proxy.py"),
            "port": 18000,
            "prove_health": True,
        },
        "functional": str(suite_of(tmp_path)),
        "deployment": [{"server_cmd": SERVER.replace("KV", str(shared))}] * 3,
    }
    night = start(json.dumps(case), "--cluster", str(three_hosts.cluster_file))
    assert night.finish() == 0
    checks = {check["name"]: check for check in night.record["checks"]}
    assert checks["prefill/decode: prefill"]["reason"] == "server-0: 4, server-1: 4"
    assert checks["prefill/decode: decode"]["reason"] == "server-2: 8"
    proven = [*PROVEN, "functional chat", "functional completions"]
    proven += [f"router health without {name}" for name in ("server-1", "server-2", "router")]
    assert {checks[name]["outcome"] for name in proven} == {"pass"}
