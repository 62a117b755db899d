"""Test scenario files of vllm-cibench as cases."""

import pytest

from ci.case.load import parse
from ci.case.scenario.reader import is_scenario
from ci.check.lint import examine
from ci.errors import CaseError

LOCAL = """\
id: local_one
mode: local
model: org/small
served_model_name: small
quant: w8a8
features: {guided_decoding: true}
base_url: http://127.0.0.1:9000/v1
startup_timeout_seconds: 900
env: {A: 1}
args: {tensor_parallel_size: 2, enable_prefix_caching: true, quantization: ascend}
"""
APART = """\
id: k8s_pd_r1_2p1d_w8a8
mode: k8s-pd
model: org/large
served_model_name: large
features: {reasoning: true}
k8s: {namespace: default, node_port: 30000}
pd:
  scheduler_params: "--max-num-seqs=256 --reasoning-parser=deepseek_r1"
  prefill_params: "--enforce-eager --kv-transfer-config '{}'"
  decode_params: "--max-num-seqs=24"
"""


def case_of(text):
    (case,) = parse(text.encode(), "s.yaml")
    return case


def test_one_server():
    case = case_of(LOCAL)
    (node,) = case.nodes
    assert node.argv == (
        *("vllm", "serve", "$MODEL", "--served-model-name", "small", "--port", "9000"),
        *("--tensor-parallel-size", "2", "--enable-prefix-caching", "--quantization", "ascend"),
    )
    assert node.env == {"A": "1"}
    assert (case.name, case.model, case.npu_per_node, case.num_hosts) == (
        "local_one",
        "org/small",
        2,
        1,
    )
    assert (case.ready_timeout_s, case.router, case.warnings) == (900, None, ())


def test_prefill_and_decode_apart():
    case = case_of(APART)
    assert [node.role for node in case.nodes] == ["prefill", "prefill", "decode"]
    assert [node.argv[6] for node in case.nodes] == ["8000", "8001", "8002"]
    assert case.nodes[0].argv[7:] == (
        *("--enforce-eager", "--kv-transfer-config", "{}", "--reasoning-parser=deepseek_r1"),
    )
    assert case.nodes[2].argv[7:] == ("--max-num-seqs=24", "--reasoning-parser=deepseek_r1")
    assert (case.router.kind, case.router.port) == ("vllm-router", 30000)
    assert [warning.key for warning in case.warnings] == ["k8s.namespace", "pd.scheduler_params"]
    assert "has no --max-num-seqs; move what the servers need" in case.warnings[1].message


def test_keys_of_this_project():
    more = """\
vllm: 0.32.0
device: ascend
npu_per_node: 8
cluster_hosts: [a]
functional: openai.yaml
tags: [small]
benchmarks: {acc: {case_type: accuracy, dataset_path: d, max_out_len: 1, batch_size: 1}}
"""
    case = case_of(LOCAL + more)
    assert (case.vllm, case.device, case.npu_per_node, case.hosts) == (
        "0.32.0",
        "ascend",
        8,
        ("a",),
    )
    assert (case.functional, case.tags, case.benchmarks[0].name) == (
        "openai.yaml",
        ("small",),
        "acc",
    )


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("pd_1p1d", ["prefill", "decode"]),
        ("pd_r1_2P1D_x", ["prefill", "prefill", "decode"]),
        ("pd_without", ["prefill", "decode"]),
        ("pd_0p1d", ["prefill", "decode"]),
        ("pd_99p1d", ["prefill", "decode"]),
        ("pd_a2p1dx", ["prefill", "decode"]),
    ],
)
def test_the_name_says_how_many_servers_there_are(name, roles):
    case = case_of(APART.replace("k8s_pd_r1_2p1d_w8a8", name))
    assert [node.role for node in case.nodes] == roles


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("quantization: ascend", "seed: 1"),
            "quant: only a title; if the weights need a flag, add",
        ),
        (
            ("{guided", "{function_call: true, guided"),
            "features.function_call: no server has --tool",
        ),
    ],
)
def test_what_has_no_effect_is_a_warning(change, expected):
    warnings = [f"{item.key}: {item.message}" for item in case_of(LOCAL.replace(*change)).warnings]
    assert any(warning.startswith(expected) for warning in warnings), warnings


def test_servers_apart_without_a_transfer_are_a_warning():
    case = case_of(APART.replace(" --kv-transfer-config '{}'", ""))
    assert any("no server has --kv-transfer-config" in each.message for each in case.warnings)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ("mode: local", "mode: k8s"),
            "2:7: mode: expected 'local', 'k8s-hybrid' or 'k8s-pd', found",
        ),
        (("quant:", "qant:"), "5:1: qant: unknown key; did you mean 'quant'?"),
        (("id: local_one\n", ""), "id: missing; it names the scenario"),
        (("id: local_one", "id: ../up"), "1:5: id: '../up' cannot name a scenario"),
        (
            ("http://127.0.0.1:9000/v1", "nowhere"),
            "base_url: is not an address; write e.g. http://",
        ),
        (("env: {A: 1}", "env: {A: $NOWHERE}"), "env.A: unknown variable $NOWHERE"),
        (("env: {A: 1}", "cluster_hosts: [a, b]"), "cluster_hosts: lists 2 hosts, but 1 servers"),
        (
            ("features: {guided_decoding: true}", "features: {guided: 1}"),
            "features.guided: unknown",
        ),
    ],
)
def test_mistakes(change, expected):
    with pytest.raises(CaseError) as raised:
        case_of(LOCAL.replace(*change))
    assert expected in str(raised.value)


def test_params_that_are_no_words():
    with pytest.raises(CaseError, match=r"pd\.decode_params"):
        case_of(APART.replace('"--max-num-seqs=24"', '"--x \'y"'))


@pytest.mark.parametrize("text", [LOCAL, APART])
def test_check_finds_no_error(text):
    found = examine(text.encode(), "s.yaml")
    assert [each for each in found if each.severity == "error"] == []


def test_what_is_a_scenario():
    assert is_scenario({"mode": "local", "served_model_name": "m"})
    assert not is_scenario({"mode": "local"})
    assert not is_scenario([])
