"""Benchmarks with `without_router`: the errors and their places in each dialect, and the server."""

import json

import pytest

from ci.case.load import parse
from ci.case.model import Node
from ci.case.without_router import behind_router, name_without_router
from ci.check.lint import examine
from ci.errors import CaseError

ACC = "acc: {case_type: accuracy, dataset_path: gsm8k, max_out_len: 8, batch_size: 1"
TWICE = f"{ACC}, without_router: true}}"
APART = "disaggregated_prefill: {prefiller_host_index: [0], decoder_host_index: [1]}"
ROUTER = "router: {kind: command, command: python p.py, port: 9}"
DEPLOYMENT = """\
test_name: t
model: m
num_nodes: 2
npu_per_node: 0
{more}
deployment:
  - {{server_cmd: vllm serve m --port 9000}}
  - {{server_cmd: vllm serve m --port 9001 {flags}}}
benchmarks:
  {benchmarks}
"""
EXTERNAL_DP = """\
model: m
num_nodes: 2
npu_per_node: 8
routing: {{type: disaggregated_prefill, groups: {{prefiller: [0], decoder: [1]}}}}
config:
  - &ranks
    node_index: 0
    port_start: 7100
    dp_rpc_port: 12321
    dp_size: 1
    dp_size_local: 1
    tp_size: 8
    dp_address: ${{NODE_0_IP}}
  - {{<<: *ranks, node_index: 1, dp_address: "${{NODE_1_IP}}"}}
templates:
  - &template
    envs: {{SERVER_PORT: "${{PORT}}"}}
    server_cmd_template: &words [--port, $SERVER_PORT, -tp, "${{TP_SIZE}}"]
  - server_cmd_template: [--port, $SERVER_PORT, -tp, "${{TP_SIZE}}" {flags}]
    envs: {{SERVER_PORT: "${{PORT}}"}}
benchmarks:
  {benchmarks}
"""
SINGLE_NODE = """\
test_cases:
  - name: first
    model: m
    server_cmd: --port 9000
  - name: second
    model: m
    {servers}
    benchmarks:
      {benchmarks}
"""
EPD = """service_mode: epd
    epd_server_cmds:
      - [--port, 9001, --ec-transfer-config, '{"ec_role": "ec_producer"}']
      - [--port, 9002]
    epd_proxy_args: --port 9003"""


def deployment(benchmarks=TWICE, more=f"{APART}\n{ROUTER}", flags=""):
    return DEPLOYMENT.format(benchmarks=benchmarks, more=more, flags=flags)


def external_dp(benchmarks=TWICE, flags=""):
    return EXTERNAL_DP.format(benchmarks=benchmarks, flags=flags)


def single_node(benchmarks=TWICE, servers=EPD):
    return SINGLE_NODE.format(benchmarks=benchmarks, servers=servers)


@pytest.mark.parametrize(
    "text",
    [
        deployment(),
        deployment(more=ROUTER),  # one router in front of equal servers
        deployment(more=ROUTER, benchmarks=f"{ACC}, without_router: false}}"),
        deployment(benchmarks=f"{TWICE[:-1]}}}".replace("batch_size: 1", "batch_size: [1, 2]")),
        external_dp(),
        single_node(),
    ],
)
def test_a_case_with_a_router_can_be_measured_without_it(text):
    case = parse(text.encode(), "c.yaml")[-1]
    assert {each.without_router for each in case.benchmarks} == {"without_router: true" in text}


NO_ROUTER = "has an effect only in a case with a router; remove it"
NO_SERVER = "needs a decode server without --headless behind the router"
SPEED = TWICE.replace("case_type: accuracy", "case_type: performance")
NOT_SPEED = "has an effect only with case_type: accuracy; remove it"
TAKEN = f"{TWICE}\n  {ACC.replace('acc', 'acc-without-router', 1)}}}"
IS_TAKEN = "measures 'acc-without-router', and there is a benchmark with this name; rename it"


@pytest.mark.parametrize(
    ("text", "case", "message"),
    [
        (deployment(more=""), "", NO_ROUTER),
        (deployment(benchmarks=SPEED), "", NOT_SPEED),
        (deployment(benchmarks=TAKEN), "", IS_TAKEN),
        (deployment(flags="--headless"), "", NO_SERVER),
        (external_dp(benchmarks=SPEED), "", NOT_SPEED),
        (external_dp(benchmarks=TAKEN), "", IS_TAKEN),
        (external_dp(flags=", --headless"), "", NO_SERVER),
        (single_node(servers="server_cmd: --port 9001"), "test_cases[1].", NO_ROUTER),
        (single_node(benchmarks=SPEED), "test_cases[1].", NOT_SPEED),
        (single_node(benchmarks=TAKEN.replace("\n", "\n    ")), "test_cases[1].", IS_TAKEN),
    ],
)
def test_what_cannot_be_measured_without_a_router_is_reported_at_its_key(text, case, message):
    with pytest.raises(CaseError) as error:
        parse(text.encode(), "c.yaml")
    (problem,) = error.value.problems
    assert problem.key == f"{case}benchmarks.acc.without_router"
    assert problem.message.startswith(message)
    line = next(at for at, each in enumerate(text.splitlines(), 1) if "without_router:" in each)
    column = text.splitlines()[line - 1].index("without_router:") + len("without_router: ") + 1
    assert (problem.line, problem.column) == (line, column)


def test_an_error_of_several_levels_is_reported_once():
    text = deployment(more="", benchmarks=TWICE.replace("batch_size: 1", "batch_size: [1, 2]"))
    with pytest.raises(CaseError) as error:
        parse(text.encode(), "c.yaml")
    keys = [problem.key for problem in error.value.problems]
    assert keys == ["benchmarks.acc-1.without_router"]


@pytest.mark.parametrize(
    ("connector", "found"),
    [
        ('{"kv_connector": "ExampleConnector"}', 1),
        ('{"kv_connector_extra_config": {"c": [{"kv_connector": "SharedStorageConnector"}]}}', 1),
        ('{"kv_connector": "NixlConnector"}', 0),
    ],
)
def test_a_server_that_takes_the_cache_of_the_same_prompt_from_a_folder_is_warned_of(
    connector, found
):
    quoted = json.dumps(f"vllm serve m --port 9001 --kv-transfer-config '{connector}'")
    text = deployment().replace("vllm serve m --port 9001 ", quoted)
    warnings = [each for each in examine(text.encode(), "c.yaml") if each.rule == "kv-by-tokens"]
    assert [each.problem.key for each in warnings] == ["benchmarks.acc.without_router"] * found
    assert all("also without the router" in each.problem.message for each in warnings)


def node(name, role, *, headless=False):
    at = {"key_path": "k", "position": (1, 1)}
    return Node(name=name, host=0, argv=("x",), env={}, role=role, headless=headless, **at)


@pytest.mark.parametrize(
    ("nodes", "asked"),
    [
        ([("p", "prefill"), ("d", "decode"), ("e", "decode")], "d"),
        ([("m", "mixed"), ("d", "decode")], "d"),
        ([("e", "encode"), ("m", "mixed")], "m"),
        ([("p", "prefill")], None),
        ([], None),
    ],
)
def test_the_server_that_is_asked(nodes, asked):
    server = behind_router([node(*each) for each in nodes])
    assert (server.name if server else None) == asked
    headless = [node("first", "decode", headless=True), *[node(*each) for each in nodes]]
    server = behind_router(headless)
    assert (server.name if server else None) == asked


def test_the_name_of_the_results():
    assert name_without_router("acc-8") == "acc-8-without-router"
