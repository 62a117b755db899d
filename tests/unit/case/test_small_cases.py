"""Test that every small case with valid keys and types is planned or refused, without a crash."""

from __future__ import annotations

import os

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.case.load import parse
from ci.check.lint import examine
from ci.errors import CaseError, UserError
from ci.k8s import render as k8s
from ci.k8s.options import Options as K8sOptions
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs
from ci.report.plan.text import as_text, as_values
from ci.request import Request
from ci.resolve import resolve

EXAMPLES = int(os.environ.get("LAMPLIGHTER_FUZZ_EXAMPLES", "100"))
PATIENT = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
IN_K8S = K8sOptions(namespace="n", image="i", pvc="p")

PIECES = [
    "--headless",
    "--port 8000",
    "--port $SERVER_PORT",
    "--port 8001",
    "--host ::1",
    "--host localhost",
    "-tp 2",
    "-dp 2 -dpl 1",
    "-dp 2 -dpl 1 -dpr 1",
    "-dp 4 -dpl 0",
    "-dp 0",
    "-dpl 3",
    "--data-parallel-address $MASTER_IP",
    "--data-parallel-address $NODE_1_IP --data-parallel-rpc-port 13389",
    "--nnodes 2 --node-rank 1 --master-addr $MASTER_IP",
    "--nnodes 2",
    "--data-parallel-hybrid-lb",
    "--data-parallel-backend ray",
    '--kv-transfer-config \'{"kv_role": "kv_producer"}\'',
    "--kv-transfer-config '[1]'",
    "--served-model-name",
    "--port",
]
COMMANDS = st.lists(st.sampled_from(PIECES), max_size=4, unique=True).map(
    lambda pieces: " ".join(["vllm serve m", *pieces])
)
VISIBLE = st.sampled_from(["", "0", "0,1", "-1", "NoDevFiles", "GPU-5e2c", "1,0", "0,,1", ",", "7"])
ENVS = st.fixed_dictionaries(
    {},
    optional={
        "CUDA_VISIBLE_DEVICES": VISIBLE,
        "ASCEND_RT_VISIBLE_DEVICES": VISIBLE,
        "SERVER_PORT": st.sampled_from(["8000", "8001", "$PORT", "0", "x"]),
    },
)


@st.composite
def deployments(draw):
    count = draw(st.integers(1, 4))
    indices = st.lists(st.integers(0, count - 1), max_size=count, unique=True)
    servers = st.fixed_dictionaries(
        {"server_cmd": COMMANDS},
        optional={
            "envs": ENVS,
            "master_index": st.integers(0, count - 1),
            "headless": st.booleans(),
            "server_port": st.sampled_from([8000, 8002]),
        },
    )
    document = {
        "test_name": "t",
        "model": "m",
        "num_nodes": count,
        "npu_per_node": draw(st.integers(0, 2)),
        "deployment": draw(st.lists(servers, min_size=count, max_size=count)),
    }
    if draw(st.booleans()):
        document["disaggregated_prefill"] = {
            "prefiller_host_index": draw(indices),
            "decoder_host_index": draw(indices),
        }
    if draw(st.booleans()):
        document["router"] = draw(
            st.fixed_dictionaries(
                {"kind": st.sampled_from(["script", "vllm-router", "command"])},
                optional={
                    "command": st.sampled_from(["x", "vllm-router --port $PORT", "'a b'"]),
                    "arguments": st.sampled_from(["", "--policy random"]),
                    "host": st.integers(0, count - 1),
                    "port": st.sampled_from([8000, 1999]),
                },
            )
        )
    return document


@st.composite
def external_dps(draw):
    count = draw(st.integers(1, 3))
    size = st.integers(1, 3)
    members = st.fixed_dictionaries(
        {
            "port_start": st.sampled_from([7100, 7101, 65535]),
            "dp_rpc_port": st.sampled_from([12321, 7100]),
            "dp_address": st.sampled_from(["$NODE_0_IP", "$NODE_1_IP", "$LOCAL_IP", "10.0.0.1"]),
        },
        optional={
            "dp_size": size,
            "dp_size_local": size,
            "dp_rank_start": st.integers(0, 3),
            "tp_size": size,
        },
    )
    word = st.sampled_from(
        ["--port", "${PORT}", "--data-parallel-rank", "${DP_RANK}", "--headless", "7100", "-tp"]
    )
    templates = st.fixed_dictionaries(
        {"envs": ENVS, "server_cmd_template": st.lists(word, max_size=6)}
    )
    indices = st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True)
    groups = st.one_of(
        st.fixed_dictionaries({"prefiller": indices, "decoder": indices}).map(
            lambda groups: {"type": "disaggregated_prefill", "groups": groups}
        ),
        st.just({"type": "generic_dp", "groups": {"worker": list(range(count))}}),
    )
    return {
        "model": "m",
        "num_nodes": count,
        "npu_per_node": draw(st.integers(0, 2)),
        "routing": draw(groups),
        "config": draw(st.lists(members, min_size=count, max_size=count)),
        "templates": draw(st.lists(templates, min_size=count, max_size=count)),
    }


@st.composite
def single_nodes(draw):
    words = COMMANDS.map(lambda command: command.removeprefix("vllm serve m").strip())
    case = {"name": "one", "model": "m", "envs": draw(ENVS), "server_cmd": draw(words)}
    if draw(st.booleans()):
        del case["server_cmd"]
        case |= {
            "service_mode": "epd",
            "epd_server_cmds": draw(st.lists(words.map(str.split), min_size=1, max_size=3)),
            "epd_proxy_args": draw(st.sampled_from([["--port", "$PROXY_PORT"], ["--port"], []])),
        }
    return {"test_cases": [case]}


def look(document):
    """Load, check, plan and render; being refused is fine, anything else is not."""
    data = yaml.safe_dump(document).encode()
    examine(data, "c.yaml")
    try:
        cases = parse(data, "c.yaml")
    except CaseError:
        return
    for case in cases:
        for use in (planned, surveyed, rendered):
            try:
                use(case)
            except UserError:
                continue


def planned(case):
    plan = build(case, made_up_inputs(case))
    for host in ("", *(each.name for each in plan.hosts)):
        assert as_text(plan, host)
        assert as_values(plan, host)


def surveyed(case):
    build(case, resolve(case, Request("c.yaml", local=True, device="cpu")))


def rendered(case):
    assert k8s.render(k8s.planned(case, IN_K8S), IN_K8S)


def headless(*indices, prefill=(), decode=()):
    """A deployment of four servers, some of them headless."""
    return {
        "test_name": "t",
        "model": "m",
        "num_nodes": 4,
        "npu_per_node": 0,
        "disaggregated_prefill": {
            "prefiller_host_index": list(prefill),
            "decoder_host_index": list(decode),
        },
        "deployment": [
            {"server_cmd": "vllm serve m --port 8000" + " --headless" * (at in indices)}
            for at in range(4)
        ],
    }


@pytest.mark.parametrize(
    "document",
    [
        headless(0, 1, prefill=[2], decode=[3]),
        headless(0, 1, 2, prefill=[3], decode=[0]),
        headless(0, 1, 2, 3, prefill=[2], decode=[3]),
        headless(1, 2, prefill=[0], decode=[3]),
    ],
)
def test_headless_servers_in_neither_list(document):
    look(document)


@PATIENT
@given(deployments())
def test_deployments(document):
    look(document)


@PATIENT
@given(external_dps())
def test_external_dps(document):
    look(document)


@PATIENT
@given(single_nodes())
def test_single_nodes(document):
    look(document)
