"""Test that broken case files give only diagnostics: mutated documents and bytes."""

import datetime as dt
import os

import pytest
import yaml
from corpus import CORPUS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.case.load import parse
from ci.check.lint import examine
from ci.check.show import shown
from ci.errors import CaseError, UserError
from ci.paths import CASES
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs
from ci.report.plan.text import as_text, as_values

EXAMPLES = int(os.environ.get("LAMPLIGHTER_FUZZ_EXAMPLES", "200"))
PATIENT = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

EXTERNAL = b"""\
test_name: t
model: m
num_nodes: 2
npu_per_node: 4
routing: {type: disaggregated_prefill, groups: {prefiller: [0], decoder: [1]}}
kv_pool: {type: mooncake, master_port: 50088, metrics_port: 50089, config: {protocol: ascend}}
config:
  - &member
    {port_start: 7100, dp_rpc_port: 12321, dp_size: 2, dp_size_local: 2, dp_rank_start: 0,
     tp_size: 2, dp_address: $NODE_0_IP}
  - {<<: *member, port_start: 7200, dp_address: $NODE_1_IP}
templates:
  - &template
    envs: {ASCEND_RT_VISIBLE_DEVICES: "${VISIBLE_DEVICES}", LD_PRELOAD: "/x:$LD_PRELOAD"}
    server_cmd_template:
      [--port, "${PORT}", --data-parallel-size, "${DP_SIZE}", --data-parallel-rank, "${DP_RANK}",
       --data-parallel-address, "${DP_ADDRESS}", --data-parallel-rpc-port, "${DP_RPC_PORT}",
       --tensor-parallel-size, "${TP_SIZE}",
       --kv-transfer-config, '{"kv_role": "kv_both", "kv_port": "30000"}']
  - *template
benchmarks:
  perf: {case_type: performance, dataset_path: gsm8k, request_conf: vllm_api_stream_chat,
         dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_str_perf, num_prompts: 64, max_out_len: 64,
         batch_size: 4, baseline: 1, threshold: 0.97}
"""
SINGLE = b"""\
_envs: &envs {OMP_NUM_THREADS: 1, SERVER_PORT: DEFAULT_PORT}
sweep: {tp: [1, 2], ratio: [{a: 0.5, label: low}]}
test_cases:
  - name: one
    model: m
    envs: {<<: *envs, A: true}
    server_cmd: [--port, $SERVER_PORT, --tensor-parallel-size, "${sweep.tp}"]
    server_cmd_extra: --max-model-len 512 --additional-config '{"a":"${sweep.ratio.a}"}'
    prompts: [hello]
    api_keyword_args: {max_tokens: 4}
    test_content: [completion, benchmark_comparisons]
    benchmarks: &benchmarks
      acc: {case_type: accuracy, dataset_path: gsm8k, max_out_len: 64, batch_size: 4, baseline: 50,
            threshold: 5}
      perf: {case_type: performance, dataset_path: gsm8k, max_out_len: 64, batch_size: 4,
             baseline: 50, threshold: 0.9}
      warm: {case_type: performance, dataset_path: gsm8k, max_out_len: 64, batch_size: 4}
    benchmark_comparisons_args: [{metric: TTFT, baseline: perf, target: warm, ratio: 0.8}]
  - name: two
    model: m
    service_mode: epd
    envs: {ENCODE_PORT: 8001, PD_PORT: 8002, PROXY_PORT: 8003}
    epd_server_cmds: [[--port, $ENCODE_PORT, --ec-transfer-config, "{}"], [--port, $PD_PORT]]
    epd_proxy_args: [--port, $PROXY_PORT]
"""


def seeds():
    own = {path.name: path.read_bytes() for path in sorted(CASES.glob("*.yaml"))}
    field = {
        str(path.relative_to(CORPUS)): path.read_bytes() for path in sorted(CORPUS.rglob("*.yaml"))
    }
    return {"external": EXTERNAL, "single": SINGLE, **own, **field}


SEEDS = seeds()
DOCUMENTS = [yaml.safe_load(data) for data in SEEDS.values()]

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 10),
    st.sampled_from([2**31, -(2**63), 10**40, 0.5, -0.0, float("nan"), float("inf"), "", " "]),
    st.sampled_from(["$", "${", "${}", "$MASTER_IP", "${sweep.tp}", "$NODE_7_IP", "$A$A", "${A}"]),
    st.sampled_from(["--", "--port", "{", '{"a":', "'", "vllm serve m --port -1", "--port=0x10"]),
    st.sampled_from(
        ["-dp 4 -dpl 2 --headless", "0", "99999", "DEFAULT_PORT", "\u2028", "é\U0001f600"]
    ),
    st.sampled_from([dt.date(2024, 1, 1), [], {}, [[]], [None], {"": None}, {"a": {"b": []}}]),
    st.text(max_size=12),
    st.lists(st.integers(-1, 3), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=2),
)
KEYS = st.sampled_from(
    [
        "deployment", "server_cmd", "envs", "env_common", "disaggregated_prefill", "enabled",
        "router", "kind", "routing", "groups", "templates", "config", "kv_pool", "test_cases",
        "sweep", "tp", "benchmarks", "baseline", "threshold", "npu_per_node", "num_nodes",
        "cluster_hosts", "headless", "master_index", "service_mode", "prompts", "<<", "name",
    ]
)  # fmt: skip


def key_paths(value, path=()):
    """Yield every key path of a document."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield from key_paths(item, (*path, key))


def changed(value, path, change):
    if not path:
        return change(value)
    copy = value.copy()
    copy[path[0]] = changed(value[path[0]], path[1:], change)
    return copy


@st.composite
def mutated_documents(draw):
    """A document with a few of its parts replaced, doubled, left out, or put under another key."""
    document = draw(st.sampled_from(DOCUMENTS))
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(list(key_paths(document))))
        other, key = draw(ODD), draw(KEYS)
        document = changed(document, path, draw(st.sampled_from(changes(other, key))))
        if not isinstance(document, dict):
            break
    return yaml.safe_dump(document, allow_unicode=True).encode()


def changes(other, key):
    def add(value):
        return {**value, key: other} if isinstance(value, dict) else [value, other]

    def drop(value):
        if isinstance(value, dict):
            return dict(list(value.items())[1:])
        return value[1:] if isinstance(value, (list, str)) else other

    def double(value):
        return value + value if isinstance(value, (list, str)) else [value, value]

    def empty(value):
        return type(value)() if isinstance(value, (list, dict, str)) else None

    return [lambda _: other, lambda value: {key: value}, add, drop, double, empty]


@st.composite
def mutated_bytes(draw):
    """Draw a file with parts replaced, removed, or copied from another file."""
    data = draw(st.sampled_from(list(SEEDS.values())))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 0, 1, 1, 2, 8, 64]))
        source = draw(st.sampled_from(list(SEEDS.values())))
        begin = draw(st.integers(0, len(source)))
        piece = draw(
            st.one_of(
                st.binary(max_size=4),
                st.text(alphabet=" \t\n:-[]{}&*!|>'\"%@`,?#$0a\r\ufeff\x85", max_size=6).map(
                    str.encode
                ),
                st.just(source[begin : begin + 60]),
            )
        )
        data = data[:at] + piece + data[at + length :]
    return data


def plan_all(data):
    """Load a file and plan its cases; only a refusal is allowed to stop this."""
    problems, cases = loaded(data)
    assert cases or problems
    assert all(p.line >= 1 and p.column >= 1 and p.message for p in problems)
    assert loaded(data) == (problems, cases)
    for case in cases:
        plan = planned(case)
        assert plan is None or (as_text(plan) and as_values(plan))


def loaded(data):
    try:
        return (), parse(data, "c.yaml")
    except CaseError as error:
        return error.problems, ()


def planned(case):
    try:
        return build(case, made_up_inputs(case))
    except UserError:
        return None


def look(data):
    """Check that every diagnostic has a position in the file."""
    diagnostics = examine(data, "c.yaml")
    lines = data.count(b"\n") + data.count(b"\r") + data.count("\u2028".encode()) + 1
    lines += data.count(b"\xc2\x85") + data.count("\u2029".encode())
    for diagnostic in diagnostics:
        assert 1 <= diagnostic.problem.line <= lines + 1
        assert diagnostic.problem.column >= 1
        assert diagnostic.problem.message
    for form in ("text", "json", "github"):
        assert shown(diagnostics, 1, form)


@PATIENT
@given(mutated_documents())
def test_mutated_documents(data):
    plan_all(data)
    look(data)


@PATIENT
@given(mutated_bytes())
def test_mutated_bytes(data):
    plan_all(data)
    look(data)


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes(data):
    plan_all(data)
    look(data)


@pytest.mark.parametrize("data", SEEDS.values(), ids=SEEDS)
def test_the_seeds_load_or_are_refused(data):
    plan_all(data)
    look(data)


@pytest.mark.parametrize("name", ["external", "single"])
def test_the_projects_seeds_are_valid(name):
    assert [each for each in examine(SEEDS[name], "c.yaml") if each.severity == "error"] == []
