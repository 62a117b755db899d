"""The key `repeats` of a benchmark."""

from __future__ import annotations

import pytest

from ci.case.benchmark import Benchmark
from ci.case.load import parse
from ci.case.repeats import Passes
from ci.errors import CaseError

CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment: [{{server_cmd: vllm serve m --port 1}}]
benchmarks:
  acc: {{case_type: accuracy, dataset_path: gsm8k, max_out_len: 8, batch_size: 1, repeats: {}}}
"""


def benchmark_of(repeats: str) -> Benchmark:
    (case,) = parse(CASE.format(repeats).encode(), "c.yaml")
    return case.benchmarks[0]


@pytest.mark.parametrize(
    ("repeats", "passes"), [("1", 1), ("5", 5), ("'8'", 8), ("64", 64), ("auto", None)]
)
def test_a_number_or_auto(repeats, passes):
    assert benchmark_of(repeats).passes == passes


def test_without_it_a_benchmark_is_asked_once():
    given = {"dataset_path": "gsm8k", "max_out_len": 8, "batch_size": 1}
    assert Benchmark(name="acc", case_type="accuracy", **given).passes == 1


@pytest.mark.parametrize("repeats", ["0", "65", "-1", "2.5", "true", "often", "[2]", "{a: 1}"])
def test_all_else_is_refused(repeats):
    with pytest.raises(CaseError) as raised:
        benchmark_of(repeats)
    (problem,) = raised.value.problems
    assert problem.key == "benchmarks.acc.repeats"
    assert "expected a whole number from 1 to 64, or auto, found " in problem.message


def test_it_may_be_swept_and_set():
    text = CASE.format("'${sweep.times}'") + "sweep: {times: [1, 4]}\n"
    cases = parse(text.encode(), "c.yaml")
    assert [case.benchmarks[0].passes for case in cases] == [1, 4]


@pytest.mark.parametrize(
    ("passes", "words"),
    [(Passes(), "1 pass"), (Passes(4), "4 passes"), (Passes(16, auto=True), "16 passes (auto)")],
)
def test_words(passes, words):
    assert str(passes) == words
