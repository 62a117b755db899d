"""Test `inv check` of suites of nights."""

import pytest

from ci.check.lint import check_files, examine
from ci.errors import ExitCode
from ci.paths import SUITES
from ci.suite.validate import reasons

CASE = """\
test_name: t
model: m
num_nodes: 1
npu_per_node: 0
deployment:
  - server_cmd: vllm serve m
benchmarks: {acc: {case_type: accuracy, dataset_path: d, max_out_len: 1, batch_size: 1}}
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "own.yaml").write_text(CASE)
    return tmp_path


def lines_of(folder, text):
    found = examine(text.encode(), str(folder / "suite.yaml"))
    return [
        f"{each.problem.line}: {each.severity}: {each.problem.key}: {each.problem.message}"
        for each in found
    ]


def test_our_own_suites_have_no_diagnostics():
    assert check_files([str(SUITES)]) == ("1 file: 0 errors, 0 warnings\n", ExitCode.PASS)


def test_a_suite_with_an_error(folder):
    (folder / "suite.yaml").write_text("nights: [{case: ./own}]\n")
    text, code = check_files([str(folder / "suite.yaml")])
    assert "suite.yaml:1:11: error: nights[0].case: unknown key; did you mean 'cases'?" in text
    assert code == ExitCode.USER


SMALL = "nights: [{cases: ./own}]\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMALL, []),
        ("vllm: [9.9.9]\n" + SMALL, ["1: error: vllm[0]: vLLM 9.9.9 is not in configs/versions.y"]),
        ("cluster: exampel\n" + SMALL, ["1: error: cluster: no cluster 'exampel'"]),
        ("accuracy: no.yaml\n" + SMALL, ["1: error: accuracy: "]),
        (
            "retry: {reasons: [disk_ful]}\n" + SMALL,
            ["1: error: retry.reasons[0]: no reason 'disk_ful' in the failure table; did"],
        ),
        (
            "retry: {reasons: [product]}\n" + SMALL,
            ["1: error: retry.reasons[0]: what the product failed by is never run again"],
        ),
        (
            "nights: [{cases: ./own, functional: nope}]\n",
            ["1: error: nights[0].functional: no functional suite 'nope'"],
        ),
        ("nights: [{cases: ./nope}]\n", ["1: error: nights[0].cases: no case file "]),
        (
            "nights: [{cases: ./own, set: {modle: m}}]\n",
            ["1: error: nights[0].cases: own in run type pr: --set modle: modle: unknown key"],
        ),
        (
            "run_types: {pr: , daily: {benchmarks: x}}\n" + SMALL,
            ["2: error: nights[0].cases: own in run type daily: "],
        ),
        (
            "run_types: {pr: {tags: [nope]}}\n" + SMALL,
            ["1: warning: run_types.pr: nothing runs in it: no entry has it, or its tags"],
        ),
        (
            SMALL + "mute: [{cases: other, owner: a, until: 2026-12-31, because: b}]\n",
            ["2: warning: mute[0].cases: 'other' names no night of this suite"],
        ),
    ],
)
def test_what_is_wrong_with_a_suite(folder, text, expected):
    lines = lines_of(folder, text)
    assert len(lines) == len(expected)
    for line, beginning in zip(lines, expected, strict=True):
        assert line.startswith(beginning)


def test_an_error_of_a_case_is_at_the_case(folder):
    (folder / "own.yaml").write_text("test_name: t\nmodle: m\n")
    found = examine(SMALL.encode(), str(folder / "suite.yaml"))
    assert {each.problem.file for each in found} == {str(folder / "own.yaml")}


def test_what_may_be_run_again():
    known = reasons()
    assert known["environment"] == known["disk_full"] == "environment"
    assert known["product"] == "product"
    assert set(known.values()) == {"environment", "configuration", "product", "tool"}
