"""Test that `inv case.prefill-decode` writes the sweeps of vllm-router's tests, and plans them.

Rewrite the golden plans after a change that is meant, and read the difference:

    python tests/unit/commands/test_case_prefill_decode.py
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import fields, replace
from pathlib import Path

import pytest

from ci.case.load import load
from ci.case.prefill_decode.model import METRICS_PORT
from ci.case.prefill_decode.settings import DEFAULTS
from ci.check.lint import check_files
from ci.commands.case_flags import PrefillDecode
from ci.commands.case_prefill_decode import prefill_decode
from ci.errors import ExitCode, UserError
from ci.paths import PROJECT
from ci.plan import router
from ci.plan.build import build
from ci.report.plan.text import as_text
from ci.request import Request
from ci.resolve import resolve, resolve_case
from ci.vllm.command_line import json_option, option

CUDA = "CUDA_VISIBLE_DEVICES"
GOLDEN = Path(__file__).with_name("prefill_decode_2p1d.txt")
WORKSPACE = "/data/lamplighter"
CLUSTER = """\
defaults: {user: me, accelerator: {kind: cuda, count: 4}}
hosts:
  a: {address: 10.0.0.1}
  b: {address: 10.0.0.2}
  c: {address: 10.0.0.3}
"""
CONFIG = "--kv-transfer-config"


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text(CLUSTER, encoding="utf-8")


def written(env=None, path="case.yaml", **flags):
    """Write a case; return the text of the task and the cases of the file, which has no error."""
    Path(path).unlink(missing_ok=True)
    text = prefill_decode(PrefillDecode(to=path, **({"device": "cuda"} | flags)), env or {})
    assert check_files([path]) == ("1 file: 0 errors, 0 warnings\n", ExitCode.PASS)
    return text, load(Path(path))


def devices_of(case):
    plan = resolve_case(case, Request("case.yaml", local=True)).plan
    assert plan.warnings == ()
    return [server.env.get(CUDA) for server in plan.servers]


def test_the_defaults_are_those_of_the_routers_tests():
    text, [case] = written()
    assert text == (
        "wrote case.yaml: 1 case\n"
        "devices of this machine at most: 1 × 1 (prefill) + 1 × 1 (decode) = 2\n"
        "look at it, then run `inv plan --config case.yaml --local`\n"
    )
    assert case.model == "meta-llama/Llama-3.2-1B-Instruct"
    assert [node.role for node in case.nodes] == ["prefill", "decode"]
    assert (case.router.kind, case.router.port) == ("vllm-router", 8300)
    for node, role, port in zip(
        case.nodes, ("kv_producer", "kv_consumer"), ("8100", "8200"), strict=True
    ):
        assert option(node.argv, "--tensor-parallel-size") == "1"
        assert option(node.argv, "--gpu-memory-utilization") == "0.6"
        assert option(node.argv, "--block-size") == "128"
        assert option(node.argv, "--attention-backend") is None
        assert node.env["SERVER_PORT"] == port
        assert json_option(node.argv, CONFIG) == {
            "kv_connector": "NixlConnector",
            "kv_role": role,
            "kv_buffer_device": "cuda",
        }
    assert devices_of(case) == ["0", "1"]


SETTINGS = {
    "model": ("MODEL_NAMES", "Qwen/Qwen2.5-1.5B-Instruct", "model: Qwen/Qwen2.5-1.5B-Instruct\n"),
    "prefill_instances": ("NUM_PREFILL_INSTANCES", "3", "prefiller_host_index: [0, 1, 2]\n"),
    "decode_instances": ("NUM_DECODE_INSTANCES", "2", "decoder_host_index: [1, 2]\n"),
    "prefill_tp": ("PREFILLER_TP_SIZE", "4", "# 1 × 4 (prefill) + 1 × 1 (decode) = 5 devices"),
    "decode_tp": ("DECODER_TP_SIZE", "2", "# 1 × 1 (prefill) + 1 × 2 (decode) = 3 devices"),
    "gpu_memory_utilization": ("GPU_MEMORY_UTILIZATION", "0.45", "utilization 0.45\n"),
    "prefill_block_size": ("PREFILL_BLOCK_SIZE", "32", "TP 1, blocks of 32 and 128\n"),
    "decode_block_size": ("DECODE_BLOCK_SIZE", "64", "TP 1, blocks of 128 and 64\n"),
    "kv_buffer_device": ("KV_BUFFER_DEVICE", "cpu", '"kv_buffer_device": "cpu"}'),
    "prefill_base_port": ("PREFILL_BASE_PORT", "9100", "SERVER_PORT: 9100,"),
    "decode_base_port": ("DECODE_BASE_PORT", "9200", "SERVER_PORT: 9200,"),
    "router_port": ("ROUTER_PORT", "9300", "  port: 9300\n"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_comes_from_its_flag_else_its_variable_else_its_default(name):
    variable, value, expected = SETTINGS[name]
    written(**{name: value})
    by_flag = Path("case.yaml").read_text("utf-8")
    assert expected in by_flag
    written({variable: value})
    assert Path("case.yaml").read_text("utf-8") == by_flag
    written({variable: "bad, and unused"}, **{name: value})
    assert Path("case.yaml").read_text("utf-8") == by_flag
    written({variable: ""})
    assert expected not in Path("case.yaml").read_text("utf-8")


def test_every_setting_is_tested_and_has_a_flag():
    assert SETTINGS.keys() == DEFAULTS.keys()
    assert DEFAULTS.keys() <= {field.name for field in fields(PrefillDecode)}
    assert {name: variable for name, (variable, *_) in SETTINGS.items()} == {
        name: variable for name, (variable, _) in DEFAULTS.items()
    }


@pytest.mark.parametrize(
    ("env", "flags", "expected"),
    [
        ({"TEST_FLASHINFER": "1"}, {}, "--attention-backend FLASHINFER"),
        ({}, {"flashinfer": True}, "--attention-backend FLASHINFER"),
        ({}, {"flashinfer": True, "vllm": "0.13.0"}, "--attention-backend FLASHINFER"),
        ({}, {"flashinfer": True, "vllm": "0.11.0"}, "VLLM_ATTENTION_BACKEND: FLASHINFER"),
        ({"TEST_FLASHINFER": ""}, {}, ""),
        ({"TEST_FLASHINFER": "0"}, {}, ""),
    ],
)
def test_flashinfer_is_selected_as_that_vllm_selects_it(env, flags, expected):
    written(env, **flags)
    lines = [line for line in Path("case.yaml").read_text("utf-8").split("\n") if "FLASH" in line]
    assert {line.strip() for line in lines} == ({expected} if expected else set())


def test_an_image_is_not_used_and_the_text_says_so():
    text, _ = written({"VLLM_DOCKER_IMAGE": "vllm/vllm-openai:v0.6.0"}, vllm="0.32.0")
    assert (
        "$VLLM_DOCKER_IMAGE (vllm/vllm-openai:v0.6.0) is not used: no image is; --vllm chooses the "
        "version, here 0.32.0\n"
    ) in text


def test_a_sweep_of_sizes_gives_each_server_of_each_case_its_devices():
    _, cases = written(prefill_instances="2", prefill_tp="2,1,1", decode_tp="2,2,1")
    assert {case.name: devices_of(case) for case in cases} == {
        "case-tp2-2": ["0,1", "2,3", "4,5"],
        "case-tp1-2": ["0", "1", "2,3"],
        "case-tp1-1": ["0", "1", "2"],
    }
    assert {case.npu_per_node for case in cases} == {6}


def test_every_axis_may_have_several_values():
    text, cases = written(
        model="a/m,b/n",
        prefill_tp="1,2",
        decode_tp="2",
        prefill_block_size="64,128",
        decode_block_size="64, 128",
        devices=8,
    )
    assert text.startswith("wrote case.yaml: 8 cases\n")
    assert "`inv plan --config case.yaml#NAME --local`" in text
    assert len(cases) == 8
    first = cases[0]
    assert (first.name, first.model) == ("case-m-tp1-2-block64", "a/m")
    assert option(first.nodes[0].argv, "--served-model-name") == "m"
    assert [option(node.argv, "--block-size") for node in cases[1].nodes] == ["128", "128"]
    assert devices_of(cases[2]) == ["0,1", "2,3"]
    assert {case.npu_per_node for case in cases} == {8}


def test_models_of_the_same_name_have_their_owners_in_the_labels():
    _, cases = written(model="a/m{x},b/m{x}")
    assert [(case.name, case.model) for case in cases] == [
        ("case-a-m-x", "a/m{x}"),
        ("case-b-m-x", "b/m{x}"),
    ]


def test_each_server_has_ports_of_its_own_on_one_machine():
    _, cases = written(prefill_instances="2", decode_instances="2", prefill_tp="1,4")
    plan = resolve_case(cases[0], Request("case.yaml", local=True)).plan
    ports = [port for process in plan.processes for port in process.ports]
    assert len(ports) == len(set(ports))
    assert METRICS_PORT == router.METRICS_PORT
    assert METRICS_PORT in ports
    side = [int(server.env["VLLM_NIXL_SIDE_CHANNEL_PORT"]) for server in plan.servers]
    assert side == [5600, 5604, 5608, 5612]
    assert {server.env["VLLM_NIXL_SIDE_CHANNEL_HOST"] for server in plan.servers} == {"127.0.0.1"}


def test_with_a_cluster_each_instance_has_a_host_of_its_own():
    flags = {"cluster": "cluster.yaml", "device": "", "prefill_instances": "2", "decode_tp": "4"}
    text, [case] = written(**flags)
    assert "inv plan --config case.yaml --cluster cluster.yaml`" in text
    plan = resolve_case(case, Request("case.yaml", cluster="cluster.yaml")).plan
    assert [server.host for server in plan.servers] == ["a", "b", "c"]
    assert [server.port for server in plan.servers] == [8100, 8100, 8200]
    assert [server.env.get(CUDA) for server in plan.servers] == [None] * 3
    assert (case.device, case.npu_per_node) == ("cuda", 4)


@pytest.mark.parametrize(
    ("flags", "script"),
    [
        ({}, str(PROJECT / "configs/proxies/prefill_decode_proxy.py")),
        ({"cluster": "cluster.yaml"}, "/data/prefill_decode_proxy.py"),
    ],
)
def test_the_router_may_be_the_projects_own_proxy(flags, script):
    _, [case] = written(router="script", **flags)
    assert (case.router.kind, case.router.script) == ("script", script)
    assert case.router.folder == str(Path(script).parent)


def test_on_ascend_mooncake_transfers_the_cache():
    _, cases = written(device="ascend", prefill_tp="2,4", decode_tp="4")
    node = cases[0].nodes[1]
    assert json_option(node.argv, CONFIG) == {
        "kv_connector": "MooncakeConnectorV1",
        "kv_role": "kv_consumer",
        "kv_port": 36004,
        "kv_connector_extra_config": {
            "prefill": {"dp_size": 1, "tp_size": 2},
            "decode": {"dp_size": 1, "tp_size": 4},
        },
    }
    plan = resolve_case(cases[0], Request("case.yaml", local=True)).plan
    visible = [server.env["ASCEND_RT_VISIBLE_DEVICES"] for server in plan.servers]
    assert visible == ["0,1", "2,3,4,5"]


def test_on_a_cpu_the_case_is_that_of_local_pd():
    """The ports and the lengths differ; the rest of local-pd.yaml is in the new case."""
    _, [case] = written(
        device="cpu", model="SmolLM2-135M-Instruct", connector="ExampleConnector", vllm="0.32.0"
    )
    [known] = load(PROJECT / "configs/cases/local-pd.yaml")
    for ours, theirs in zip(case.nodes, known.nodes, strict=True):
        assert (ours.role, ours.host, ours.master) == (theirs.role, theirs.host, theirs.master)
        # A machine of two cores needs them; a larger one is better off without.
        of_two_cores = {"VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS"}
        assert ours.env.keys() == theirs.env.keys() - of_two_cores
        assert {ours.env[key] for key in ("HF_HUB_OFFLINE", "VLLM_CPU_KVCACHE_SPACE")} == {"1"}
        assert json_option(ours.argv, CONFIG) == json_option(theirs.argv, CONFIG)
        flags = {word for word in theirs.argv if word.startswith("-")}
        more = {"--tensor-parallel-size", "--block-size"}
        assert {word for word in ours.argv if word.startswith("-")} == flags | more
    assert case.router.kind == known.router.kind
    assert (case.npu_per_node, case.special_dependencies) == (0, {})
    [ours], [theirs] = case.benchmarks, known.benchmarks
    assert ours.model_copy(update={"name": theirs.name}) == theirs
    assert devices_of(case) == [None, None]


BAD = {
    "instances": ({"prefill_instances": "0"}, {}, "--prefill-instances 0: expected a whole number"),
    "no number": ({}, {"NUM_DECODE_INSTANCES": "two"}, "$NUM_DECODE_INSTANCES two: expected a"),
    "two numbers": ({"decode_instances": "1,2"}, {}, "--decode-instances 1,2: expected a whole"),
    "size": ({"prefill_tp": "2,,1"}, {}, "--prefill-tp 2,,1: expected whole numbers separated by"),
    "size of a variable": ({}, {"DECODER_TP_SIZE": "-1"}, "$DECODER_TP_SIZE -1: expected whole"),
    "pairs": (
        {"prefill_tp": "2,1,1", "decode_tp": "2,1"},
        {},
        "--prefill-tp has 3 values and --decode-tp 2: the values make pairs",
    ),
    "a pair twice": ({"prefill_tp": "2,2"}, {}, "the pair 2 and 1 occurs twice; remove one"),
    "block": ({"decode_block_size": "x"}, {}, "--decode-block-size x: expected whole numbers"),
    "memory": ({"gpu_memory_utilization": "60"}, {}, "above 0 and at most 1, such as 0.6"),
    "no memory": ({}, {"GPU_MEMORY_UTILIZATION": "0.0"}, "$GPU_MEMORY_UTILIZATION 0.0: expected"),
    "buffer": ({"kv_buffer_device": "gpu"}, {}, "--kv-buffer-device gpu: expected cuda or cpu"),
    "buffer of a CPU": (
        {"device": "cpu", "connector": "NixlConnector", "kv_buffer_device": "cuda"},
        {},
        "--device cpu has none; write cpu",
    ),
    "buffer of files": (
        {"connector": "ExampleConnector", "kv_buffer_device": "cpu"},
        {},
        "--kv-buffer-device is for NixlConnector, not for ExampleConnector",
    ),
    "router": ({"router": "vllm-ruoter"}, {}, "expected vllm-router or script; did you mean vllm-"),
    "port": ({"router_port": "70000"}, {}, "--router-port 70000: expected a whole number, 1 to"),
    "last port": (
        {"prefill_base_port": "65535", "prefill_instances": "2"},
        {},
        "--prefill-base-port 65535: expected room for 2 ports",
    ),
    "one port": ({"decode_base_port": "8100"}, {}, "prefill instance 0 and decode instance 1"),
    "ports meet": (
        {"prefill_instances": "101"},
        {},
        "prefill instance 100 and decode instance 101 would both use port 8200; change",
    ),
    "port of metrics": ({}, {"ROUTER_PORT": "29000"}, "vllm-router's metrics would both use port"),
    "port of the connector": ({"router_port": "5600"}, {}, "NixlConnector of instance 0 would"),
    "connector": ({"connector": "NixlConector"}, {}, "did you mean NixlConnector? Known here:"),
    "connector of another kind": (
        {"connector": "MooncakeConnectorV1"},
        {},
        "is for --device ascend, not cuda; use NixlConnector",
    ),
    "files of ranks": (
        {"connector": "ExampleConnector", "decode_tp": "2"},
        {},
        "ExampleConnector passes the cache of one rank only",
    ),
    "files of blocks": (
        {"connector": "ExampleConnector", "decode_block_size": "64"},
        {},
        "ExampleConnector finds only blocks of the same size",
    ),
    "files on hosts": (
        {"connector": "ExampleConnector", "cluster": "cluster.yaml"},
        {},
        "for --cluster, use --connector NixlConnector",
    ),
    "flashinfer": ({"device": "cpu", "flashinfer": True}, {}, "is for --device cuda, not cpu"),
    "version": ({"vllm": "9"}, {}, "9 is not in configs/versions.yaml"),
    "version of another kind": ({"vllm": "0.33.0", "device": "cpu"}, {}, "not for cpu; for cpu"),
    "model": ({"model": "a,,b"}, {}, "--model a,,b: expected names of models"),
    "model twice": ({}, {"MODEL_NAMES": "a,a"}, "$MODEL_NAMES a,a: expected names of models"),
    "length": ({"max_model_len": 0}, {}, "--max-model-len 0: expected"),
    "prompts": ({"num_prompts": -1}, {}, "--num-prompts -1: expected"),
    "devices": (
        {"devices": 4, "prefill_instances": "2", "prefill_tp": "2,1", "decode_tp": "1"},
        {},
        "--devices 4: the instances need 2 × 2 (prefill) + 1 × 1 (decode) = 5 devices",
    ),
    "hosts": (
        {"cluster": "cluster.yaml", "decode_instances": "3"},
        {},
        "it has 3 hosts, but 1 prefill + 3 decode instances need 4; add hosts",
    ),
    "devices of a host": (
        {"cluster": "cluster.yaml", "decode_tp": "8"},
        {},
        "tensor-parallel size 8 needs 8 devices, but each host has 4",
    ),
    "two places": ({"cluster": "cluster.yaml", "local": True}, {}, "give only one of them"),
    "too many cases": (
        {"prefill_tp": ",".join(map(str, range(1, 70)))},
        {},
        "makes 69 cases, more than the 64 allowed",
    ),
}


@pytest.mark.parametrize(("flags", "env", "message"), BAD.values(), ids=BAD)
def test_what_makes_no_case_is_refused(flags, env, message):
    given = PrefillDecode(**({"device": "cuda", "to": "case.yaml"} | flags))
    with pytest.raises(UserError) as caught:
        prefill_decode(given, env)
    assert message in str(caught.value)
    assert not Path("case.yaml").exists()


def test_the_file_is_named_after_the_model_and_never_overwritten():
    prefill_decode(PrefillDecode(device="cuda"), {})
    assert Path("Llama-3.2-1B-Instruct-prefill-decode.yaml").is_file()
    with pytest.raises(UserError, match="exists already"):
        prefill_decode(PrefillDecode(device="cuda"), {})
    prefill_decode(PrefillDecode(device="cuda", model="a,b"), {})
    assert Path("models-prefill-decode.yaml").is_file()


def golden_plans():
    """Plan a sweep of two prefill instances and one decode instance, in the current folder."""
    flags = {"prefill_instances": "2", "prefill_tp": "2,1", "decode_tp": "2", "vllm": "0.32.0"}
    prefill_decode(PrefillDecode(device="cuda", to="golden.yaml", **flags), {})
    texts = []
    for case in load(Path("golden.yaml")):
        inputs = resolve(case, Request(case.path, local=True, workspace=WORKSPACE))
        datasets = {  # as if they were there, and in the same folder on every machine
            name: replace(found, path=f"/datasets/{found.name}")
            for name, found in inputs.datasets.items()
        }
        texts.append(as_text(build(case, replace(inputs, datasets=datasets))))
    return "\n".join(texts).replace(str(PROJECT), "/lamplighter")


def test_the_plans_of_a_sweep_are_the_golden_ones():
    assert golden_plans() == GOLDEN.read_text("utf-8")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        GOLDEN.write_text(golden_plans(), "utf-8")
    sys.exit(0)
