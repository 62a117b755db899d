"""Suites and small cases for the tests of suites."""

import datetime as dt

from ci.documents.source import read
from ci.inventory.target import Accelerator, Target
from ci.suite.cases import find_cases
from ci.suite.load import parse_night_suite
from ci.suite.select import Wanted, nights_of

TODAY = dt.date(2026, 11, 27)
CASE = """\
test_name: t
model: org/{model}
num_nodes: {hosts}
npu_per_node: {devices}
device: ascend
deployment:
{servers}
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: org/own
    num_prompts: 500
    max_out_len: 64
    batch_size: 4
  perf:
    case_type: performance
    dataset_path: org/own
    max_out_len: 64
    batch_size: [1, 8]
    num_prompts: [10, 400]
"""
SERVER = "  - server_cmd: vllm serve org/m --port 8000"
SWEPT = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m --block-size ${sweep.block}
sweep: {block: [16, 32, 64]}
"""


def write_case(folder, name, *, hosts=1, more="", model="m"):
    servers = "\n".join(SERVER for _ in range(hosts))
    text = CASE.format(hosts=hosts, devices=8, servers=servers, model=model)
    (folder / f"{name}.yaml").write_text(text + more)


def suite_of(text, file="suite.yaml"):
    return parse_night_suite(read(text.encode(), str(file), "configuration"))


def nights(folder, text, run_type="daily", **wanted):
    """Return the nights of a suite whose cases are in a folder; no case may be missing."""
    suite = suite_of(text, folder / "suite.yaml")
    found = find_cases(suite, folder)
    assert found.problems == ()
    return nights_of(suite, found.cases, Wanted(run_type, TODAY, **wanted))


def target(name, kind="ascend", count=8, **more):
    return Target(name, name, accelerator=Accelerator(kind, count) if kind else None, **more)
