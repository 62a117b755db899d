"""Test baseline and threshold in every dialect: both or neither, else an error."""

from __future__ import annotations

import pytest
from jsonschema import Draft7Validator
from yaml import safe_load

from ci.case.load import parse
from ci.errors import CaseError
from ci.reference.schema import schema

HEADS = {
    "deployment": """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment: [{server_cmd: vllm serve m}]
benchmarks:
""",
    "external_dp": """\
model: m
num_nodes: 2
npu_per_node: 2
routing: {type: disaggregated_prefill, groups: {prefiller: [0], decoder: [1]}}
config:
  - &member {port_start: 7100, dp_rpc_port: 12321, dp_size: 1, dp_size_local: 1, dp_rank_start: 0,
     tp_size: 2, dp_address: $NODE_0_IP}
  - {<<: *member, port_start: 7200, dp_address: $NODE_1_IP}
templates:
  - &template
    envs: {ASCEND_RT_VISIBLE_DEVICES: "${VISIBLE_DEVICES}"}
    server_cmd_template:
      [--port, "${PORT}", --data-parallel-size, "${DP_SIZE}", --data-parallel-rank, "${DP_RANK}",
       --data-parallel-address, "${DP_ADDRESS}", --data-parallel-rpc-port, "${DP_RPC_PORT}",
       --tensor-parallel-size, "${TP_SIZE}",
       --kv-transfer-config, '{"kv_role": "kv_producer", "kv_port": "30000"}']
  - *template
benchmarks:
""",
    "single_node": """\
test_cases:
- name: one
  model: m
  server_cmd: [--port, 8000]
  benchmarks:
""",
}
BENCHMARK = """\
    perf:
      case_type: performance
      dataset_path: gsm8k
      max_out_len: 1
      batch_size: 1
"""
ADVICE = "give both 'baseline' and 'threshold', or leave out both"
NEITHER = ["", "baseline:\n", "baseline:\nthreshold:\n", "threshold: null\n", "baseline: ~\n"]
# lines of the file → (key, a part of the message)
REFUSED: dict[str, list[tuple[str, str]]] = {
    "baseline: 5\n": [("threshold", "missing; how far below the baseline still passes")],
    "baseline: 5\nthreshold:\n": [("threshold", ADVICE)],
    "threshold: 0.9\n": [("baseline", "missing; the figure of a healthy night")],
    "baseline:\nthreshold: 0.9\n": [("baseline", ADVICE)],
    "baseline: 0\n": [("threshold", ADVICE)],
    "threshold: 0\n": [("baseline", ADVICE)],
    # One mistake is reported once.
    "baselin: 5\nthreshold: 0.9\n": [("baselin", "did you mean 'baseline'?")],
    "baseline: 5\n2threshold: 0.9\n": [("2threshold", "did you mean 'threshold'?")],
    "baseline: high\n": [("baseline", "expected a number, found the text 'high'")],
    "baseline: -1\nthreshold: 0.9\n": [("baseline", "-1 is out of range")],
    "baseline: 5\nthreshold: -1\n": [("threshold", "-1 is out of range")],
    "baseline: high\nthreshold: low\n": [
        ("baseline", "expected a number"),
        ("threshold", "expected a number"),
    ],
}
KINDS = pytest.mark.parametrize("dialect", HEADS)


def text_of(dialect: str, lines: str) -> str:
    return HEADS[dialect] + BENCHMARK + "".join(f"      {line}\n" for line in lines.splitlines())


def fits(text: str) -> bool:
    return Draft7Validator(schema()).is_valid(safe_load(text))


@KINDS
@pytest.mark.parametrize("lines", NEITHER)
def test_both_may_be_absent_or_without_a_value(dialect: str, lines: str) -> None:
    text = text_of(dialect, lines)
    (case,) = parse(text.encode(), "c.yaml")
    (benchmark,) = case.benchmarks
    assert (benchmark.baseline, benchmark.threshold) == (None, None)
    assert benchmark.expected is None
    assert fits(text)


@KINDS
def test_both_are_read(dialect: str) -> None:
    text = text_of(dialect, "threshold: 0\nbaseline: 90\n")
    (case,) = parse(text.encode(), "c.yaml")
    assert case.benchmarks[0].expected == (90, 0)
    assert fits(text)


@KINDS
@pytest.mark.parametrize("lines", REFUSED, ids=repr)
def test_one_without_the_other_is_refused_with_its_position(dialect: str, lines: str) -> None:
    text = text_of(dialect, lines)
    with pytest.raises(CaseError) as caught:
        parse(text.encode(), "c.yaml")
    problems = caught.value.problems
    expected = REFUSED[lines]
    assert [problem.key.rpartition(".")[2] for problem in problems] == [key for key, _ in expected]
    for problem, (key, words) in zip(problems, expected, strict=True):
        assert words in problem.message
        # A missing key is reported at its benchmark.
        there = [f"{key}:" in line for line in text.splitlines()[-len(lines.splitlines()) :]]
        first = len(text.splitlines()) - len(there) + 1
        benchmark = text.splitlines().index("    perf:") + 1
        assert problem.line == (first + there.index(True) if any(there) else benchmark)
    assert not fits(text)
