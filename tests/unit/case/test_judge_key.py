"""`judge` of a case, in every dialect: which nights count, and what false alarms are accepted."""

import pytest

from ci.case.judging import Judging
from ci.case.load import parse
from ci.errors import CaseError
from ci.judge.decide import Levels
from ci.judge.levels import levels_of

DEPLOYMENT = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
"""
EXTERNAL = """\
model: m
num_nodes: 1
npu_per_node: 4
routing: {type: generic_dp, groups: {worker: [0]}}
config:
  - {port_start: 7100, dp_rpc_port: 12321, dp_size: 2, dp_size_local: 2, dp_address: $NODE_0_IP}
templates:
  - envs: {CUDA_VISIBLE_DEVICES: "1"}
    server_cmd_template:
      [--port, "${PORT}", --data-parallel-size, "2", --data-parallel-rank, "${DP_RANK}",
       --data-parallel-address, "${DP_ADDRESS}", --data-parallel-rpc-port, "${DP_RPC_PORT}"]
"""
SINGLE = """\
test_cases:
  - name: n
    model: m
    server_cmd: [--port, 80]
"""
# Each with what precedes a line of it.
DIALECTS = {"deployment": (DEPLOYMENT, ""), "external": (EXTERNAL, ""), "single": (SINGLE, "    ")}


def judging(dialect, line):
    text, before = DIALECTS[dialect]
    (case,) = parse((text + before + line + "\n").encode(), "c.yaml")
    return case.judge


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", Judging()),
        ("judge:", Judging()),
        ("judge: {same_vllm: true}", Judging(same_vllm=True)),
        (
            "judge: {false_alarms_a_month: 2, nights_a_month: 60}",
            Judging(false_alarms_a_month=2, nights_a_month=60),
        ),
        ("judge: {false_alarms_a_month: 0.5}", Judging(false_alarms_a_month=0.5)),
        ("judge: {control: last-good}", Judging(control="last-good")),
        ("judge: {control: none}", Judging()),
    ],
)
def test_what_a_case_may_write(dialect, line, expected):
    assert judging(dialect, line) == expected


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("judge: strict", "judge: expected a mapping"),
        ("judge: {same_vlm: true}", "same_vlm: unknown key; did you mean 'same_vllm'?"),
        ("judge: {same_vllm: 1}", "same_vllm: expected true or false"),
        ("judge: {false_alarms_a_month: 0}", "false_alarms_a_month: 0 is out of range"),
        ("judge: {nights_a_month: 0}", "nights_a_month: 0 is out of range"),
        ("judge: {nights_a_month: 1.5}", "nights_a_month: expected a whole number"),
        ("judge: {control: last-god}", "control: "),
    ],
)
def test_what_a_case_may_not_write(dialect, line, message):
    with pytest.raises(CaseError, match=r"c.yaml:\d+:\d+") as raised:
        judging(dialect, line)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("case", "checks", "expected"),
    [
        (Judging(), 0, Levels()),
        (Judging(), 3, Levels()),
        (Judging(), 20, Levels(fail=1 / 600)),
        (Judging(false_alarms_a_month=2), 20, Levels(fail=2 / 600)),
        (Judging(nights_a_month=60), 20, Levels(fail=1 / 1200)),
        # A control errs independently of the suspicion, which then pays a part.
        (Judging(control="last-good"), 20, Levels()),
        (Judging(control="last-good", nights_a_month=600), 20, Levels(fail=1 / 960)),
    ],
)
def test_the_levels_of_a_case(case, checks, expected):
    found = levels_of(case, checks)
    assert (found.suspect, found.fail) == pytest.approx((expected.suspect, expected.fail))
