"""`telemetry` of a case, in every dialect."""

import pytest

from ci.case.load import parse
from ci.case.telemetry import Telemetry
from ci.errors import CaseError

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
npu_per_node: 8
routing: {type: generic_dp, groups: {worker: [0]}}
config: [{dp_size: 1, dp_size_local: 1, dp_rank_start: 0, tp_size: 1, server_port: 8000}]
templates: [{server_cmd_template: [--port, $SERVER_PORT], envs: {}}]
"""
SINGLE = """\
test_cases:
  - name: n
    model: m
    server_cmd: [--port, 80]
"""
QUIET = Telemetry()


def bounds(text):
    (case,) = parse(text.encode(), "c.yaml")
    return case.telemetry


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", QUIET),
        ("telemetry:", QUIET),
        ("telemetry: on", QUIET),
        ("telemetry: off", Telemetry(sampled=False)),
        ("telemetry: 'off'", Telemetry(sampled=False)),
        ("telemetry: {steal_percent: 20}", Telemetry(steal_percent=20)),
        (
            "telemetry: {foreign_cpu_percent: 100, network_errors: 5}",
            Telemetry(foreign_cpu_percent=100, network_errors=5),
        ),
    ],
)
def test_what_a_case_may_write(line, expected):
    assert bounds(DEPLOYMENT + line + "\n") == expected
    assert bounds(SINGLE + "    " + line + "\n") == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("telemetry: never", "expected `off`, or a mapping with bounds, found the text 'never'"),
        ("telemetry: 5", "expected `off`, or a mapping with bounds"),
        (
            "telemetry: {steal_percen: 5}",
            "telemetry.steal_percen: unknown key; did you mean 'steal_percent'?",
        ),
        ("telemetry: {lost_percent: 101}", "lost_percent: 101 is out of range"),
        ("telemetry: {network_errors: 0}", "network_errors: 0 is out of range"),
    ],
)
def test_what_a_case_may_not_write(line, message):
    with pytest.raises(CaseError, match=r"c.yaml:\d+:\d+") as raised:
        bounds(DEPLOYMENT + line + "\n")
    assert message in str(raised.value)
    with pytest.raises(CaseError, match=r"c.yaml:\d+:\d+"):
        bounds(SINGLE + "    " + line + "\n")
