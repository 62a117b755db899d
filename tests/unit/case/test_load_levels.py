"""Benchmarks with several load levels: their names and values, the errors and their places."""

from __future__ import annotations

import pytest

from ci.case.load import parse
from ci.check.lint import examine
from ci.errors import CaseError

HEAD = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment: [{server_cmd: vllm serve m --port 9}]
benchmarks:
  acc-8: {case_type: accuracy, dataset_path: gsm8k, max_out_len: 8, batch_size: 1}
  load:
    case_type: performance
    dataset_path: random
    max_out_len: 8
"""
COMMON = "tool: vllm_bench, dataset_path: random, max_out_len: 8"
SINGLE = f"""\
test_cases:
  - name: n
    model: m
    envs: {{SERVER_PORT: 9000}}
    server_cmd: --port $SERVER_PORT
    benchmarks:
      load: {{case_type: performance, {COMMON}, num_prompts: 4, batch_size: [1, 2]}}
    test_content: [benchmark_comparisons]
    benchmark_comparisons_args: [{{baseline: load-1, target: load-2}}]
"""
LEVELS = "    batch_size: [1, 2, 4]\n"


def benchmarks_of(keys, head=HEAD):
    (case,) = parse(f"{head}{keys}".encode(), "c.yaml")
    return {each.name: each for each in case.benchmarks}


def refused(keys, *settings):
    with pytest.raises(CaseError) as error:
        parse(f"{HEAD}{keys}".encode(), "c.yaml", settings)
    return [str(problem) for problem in error.value.problems]


def test_each_level_is_a_benchmark_in_the_place_of_its_list():
    keys = "    num_prompts: [8, 16, 32]\n    baseline: [1, 2, null]\n"
    found = benchmarks_of(f"{LEVELS}{keys}    threshold: [1, 0.9, null]\n")
    assert list(found) == ["acc-8", "load-1", "load-2", "load-4"]
    levels = [found[name] for name in ("load-1", "load-2", "load-4")]
    assert [each.batch_size for each in levels] == [1, 2, 4]
    assert [each.num_prompts for each in levels] == [8, 16, 32]
    assert [each.expected for each in levels] == [(1, 1), (2, 0.9), None]
    assert {each.max_out_len for each in levels} == {8}


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ("    batch_size: 4\n    request_rate: [1, 2.5, 0]\n", ["1", "2.5", "0"]),
        ("    batch_size: [4, 4]\n    request_rate: [1, 2.5]\n", ["4-1", "4-2.5"]),
        ("    batch_size: [16]\n", ["16"]),
        ("    batch_size: 16\n", [""]),
    ],
)
def test_names_have_the_values_of_the_level(keys, names):
    expected = [f"load-{name}".removesuffix("-") for name in names]
    assert list(benchmarks_of(keys))[1:] == expected


@pytest.mark.parametrize(
    ("keys", "seeds"),
    [
        ("tool: vllm_bench", [0, 1, 2]),
        ("tool: vllm_bench\n    seed: 5", [5, 5, 5]),
        ("tool: aisbench", [None, None, None]),
    ],
)
def test_generated_prompts_differ_between_levels(keys, seeds):
    """The servers' prefix caches have the prompts of the levels before."""
    found = benchmarks_of(f"{LEVELS}    {keys}\n")
    assert [each.seed for name, each in found.items() if name != "acc-8"] == seeds


def test_levels_work_in_test_cases_and_with_their_comparisons():
    (case,) = parse(SINGLE.encode(), "c.yaml")
    assert [each.name for each in case.benchmarks] == ["load-1", "load-2"]
    assert [(each.baseline, each.target) for each in case.comparisons] == [("load-1", "load-2")]


def test_levels_may_come_from_a_sweep_of_cases():
    text = f"{HEAD}    batch_size: [1, '${{sweep.most}}']\nsweep: {{most: [2, 4]}}\n"
    cases = parse(text.encode(), "c.yaml")
    names = [[each.name for each in case.benchmarks][1:] for case in cases]
    assert names == [["load-1", "load-2"], ["load-1", "load-4"]]


@pytest.mark.parametrize(
    ("keys", "place", "words"),
    [
        ("    batch_size: []\n", "12:17", "batch_size: has 0 values; write 1 to 64"),
        ("    batch_size: [1, 2, 1]\n", "12:24", "batch_size[2]: is the same level as one before"),
        ("    batch_size: [1, many]\n", "12:21", "expected a whole number, found the text 'many'"),
        ("    batch_size: [1, 0]\n", "12:21", "0 is out of range"),
        ("    batch_size: [1, [2]]\n", "12:21", "expected a whole number, found a list"),
        (
            LEVELS + "    num_prompts: [8, 8]\n",
            "13:18",
            "num_prompts: has 2 values and batch_size has 3; write one for each level",
        ),
        (
            "    batch_size: 4\n    num_prompts: [8, 8]\n",
            "13:18",
            "expected a number, found a list; write one value, or a list of batch_size or request",
        ),
        (LEVELS + "    num_promts: 8\n", "13:5", "unknown key; did you mean 'num_prompts'?"),
        (LEVELS + "    top_k: [1, 2, 3]\n", "13:12", "expected a whole number, found a list"),
        (LEVELS + "  load-2: {}\n", "12:21", "makes the benchmark 'load-2', and there is one"),
    ],
)
def test_an_error_has_the_place_of_the_value(keys, place, words):
    (problem,) = refused(keys)
    assert problem.startswith(f"c.yaml:{place}: ")
    assert words in problem


def test_an_error_of_a_setting_names_its_flag():
    (problem,) = refused(LEVELS, "benchmarks.load.batch_size=[1, 0]")
    assert problem.startswith("--set benchmarks.load.batch_size:")


def test_a_remark_about_a_level_is_at_its_value():
    text = f"{HEAD}{LEVELS}    tool: vllm_bench\n    num_prompts: [1, 1, 4]\n"
    (found,) = examine(text.encode(), "c.yaml")
    assert (found.problem.key, found.problem.line) == ("benchmarks.load-2.batch_size", 12)
    assert found.rule == "too-few-prompts"
