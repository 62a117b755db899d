"""Test `sweep:`: the names of its cases, the replaced values, and the errors."""

from __future__ import annotations

import pytest

from ci.case.load import load_one, parse
from ci.errors import CaseError, UserError

HEAD = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 8
"""
SERVER = """\
deployment:
  - envs: {BLOCK: "${sweep.block}"}
    server_cmd: "vllm serve m --port 9 -tp ${sweep.tp.prefill} --x '{\\"a\\": ${sweep.tp.decode}}'"
"""
SWEEP = """\
sweep:
  tp: [{prefill: 2, decode: 4}, {prefill: 1, decode: 2}]
  block: [64, 128]
"""


def cases_of(sweep, body=SERVER):
    return parse(f"{HEAD}{body}{sweep}".encode(), "c.yaml")


def refused(sweep, body=SERVER):
    with pytest.raises(CaseError) as error:
        cases_of(sweep, body)
    return [str(problem) for problem in error.value.problems]


def test_every_combination_is_a_case_in_the_order_of_the_axes():
    cases = cases_of(SWEEP)
    assert [case.name for case in cases] == [
        *("c-tp2-4-block64", "c-tp2-4-block128", "c-tp1-2-block64", "c-tp1-2-block128"),
    ]
    assert [case.nodes[0].argv[6] for case in cases] == ["2", "2", "1", "1"]
    assert [case.nodes[0].argv[8] for case in cases] == ['{"a": 4}'] * 2 + ['{"a": 2}'] * 2
    assert [case.nodes[0].env["BLOCK"] for case in cases] == ["64", "128", "64", "128"]


def test_a_file_without_a_sweep_is_one_case():
    assert [case.name for case in cases_of("", "deployment: [{server_cmd: serve}]")] == ["c"]


def test_a_value_that_is_only_a_reference_keeps_its_type():
    bench = "{case_type: accuracy, dataset_path: gsm8k, max_out_len: '${sweep.len}', "
    bench += "batch_size: 4, baseline: 90, threshold: 2, ignore_eos: '${sweep.eos}'}"
    body = f"deployment: [{{server_cmd: serve}}]\nbenchmarks: {{acc: {bench}}}\n"
    case, _ = cases_of("sweep: {len: [16, 32], eos: [true]}", body)
    assert (case.benchmarks[0].max_out_len, case.benchmarks[0].ignore_eos) == (16, True)
    assert case.name == "c-len16-eostrue"


def test_references_work_in_the_other_dialects():
    text = """\
sweep: {size: [1, 2]}
test_cases:
  - name: small
    model: m
    envs: {SERVER_PORT: 9000}
    server_cmd: "--port $SERVER_PORT --tensor-parallel-size ${sweep.size}"
"""
    cases = parse(text.encode(), "c.yaml")
    assert [case.nodes[0].argv[-1] for case in cases] == ["1", "2"]
    assert [case.name.rpartition("-")[2] for case in cases] == ["size1", "size2"]


def test_a_label_replaces_an_unsuitable_name():
    body = "deployment: [{server_cmd: 'serve ${sweep.m.path}'}]\n"
    cases = cases_of("sweep: {m: [{label: a, path: /x/a}, {label: b, path: /x/b}]}", body)
    assert [(case.name, case.nodes[0].argv[1]) for case in cases] == [
        ("c-a", "/x/a"),
        ("c-b", "/x/b"),
    ]


def test_a_case_is_selected_by_a_part_of_its_name(tmp_path):
    (tmp_path / "c.yaml").write_text(HEAD + SERVER + SWEEP, "utf-8")
    assert load_one("c#tp1-2-block64", tmp_path).name == "c-tp1-2-block64"
    with pytest.raises(UserError, match="4 cases in it: c-tp2-4-block64"):
        load_one("c", tmp_path)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("sweep: 3", "8:8: sweep: expected axes such as `block: [64, 128]`, found the number 3"),
        ("sweep: {}", "8:8: sweep: expected axes"),
        ("sweep: [1]", "8:8: sweep: expected axes"),
        ("sweep: {block: 64}", "8:16: sweep.block: expected a list of values, or of mappings"),
        ("sweep: {block: []}", "8:16: sweep.block: expected a list of values, or of mappings"),
        ("sweep: {block: [[64]]}", "8:17: sweep.block[0]: expected text, a number, true or false"),
        ("sweep: {block: [null]}", "8:17: sweep.block[0]: expected text, a number, true or false"),
        ("sweep: {b-k: [64]}", "8:9: sweep.b-k: cannot name an axis"),
        ("sweep: {tp: [{pre-fill: 1}]}", "sweep.tp[0].pre-fill: cannot name a value"),
        ("sweep: {tp: [{label: x}]}", "8:14: sweep.tp[0]: names no value"),
        ("sweep: {block: [/a]}", "sweep.block[0]: 'block/a' cannot be part of a case's name"),
        (
            "sweep: {block: [64, '64']}",
            "8:21: sweep.block[1]: has the same label as another value, block64",
        ),
        (
            "sweep: {tp: [{a: 1}, {b: 1}]}",
            "8:22: sweep.tp[1]: expected the names of the axis's first value",
        ),
        (
            "sweep: {tp: [{a: 1}, 1]}",
            "8:22: sweep.tp[1]: expected the names of the axis's first value",
        ),
        ("sweep: {block: ['${MODEL}']}", "sweep.block[0]: refers to a variable"),
        (f"sweep: {{block: ['{'x' * 201}']}}", "sweep.block[0]: longer than 200 characters"),
        (
            f"sweep: {{block: {list(range(65))}}}",
            "8:1: sweep: makes 65 cases, more than the 64 allowed",
        ),
        ("sweep: {a: [1], b: [2]}", "8:9: sweep.a: not used; write ${sweep.a}"),
        ("sweep: {tp: [{prefil: 1}]}", "sweep.tp[0].prefil: not used"),
        (
            "sweep: {block: [1], tp: [{prefil: 1, decode: 2}]}",
            "unknown ${sweep.tp.prefill}; did you mean ${sweep.tp.prefil}? There are: block, tp",
        ),
    ],
)
def test_an_invalid_sweep_is_refused(sweep, words):
    assert any(words in problem for problem in refused(sweep))


def test_two_combinations_with_the_same_name_are_refused():
    body = "deployment: [{server_cmd: 'serve ${sweep.x.v} ${sweep.y.v}'}]\n"
    x, y = "[{label: a, v: 1}, {label: a-b, v: 2}]", "[{label: b-c, v: 1}, {label: c, v: 2}]"
    (problem,) = refused(f"sweep: {{x: {x}, y: {y}}}", body)
    assert "c.yaml:6:1: sweep: two combinations have the name a-b-c" in problem


@pytest.mark.parametrize("reference", ["${sweep.nothing}", "${sweep}", "${sweep[0]}", "${sweep.}"])
def test_a_reference_without_a_sweep_is_refused(reference):
    body = f"deployment: [{{server_cmd: 'serve {reference}'}}]\n"
    (problem,) = refused("", body)
    assert "deployment[0].server_cmd: unknown" in problem
    assert "The file has no 'sweep' section" in problem


def test_each_problem_is_reported_once():
    body = SERVER.replace("--port 9", "--port ${sweep.port}") + "wrong: 1\n"
    problems = refused(f"{SWEEP}  port: [9]\n", body)
    assert len(problems) == 1
    assert "unknown key" in problems[0]
