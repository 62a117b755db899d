"""Test that a matrix of vllm-cibench, with the files beside it, loads as a suite."""

import os
from pathlib import Path

import pytest
from suites import TODAY, suite_of

from ci.case.load import load
from ci.documents.source import read
from ci.errors import CaseError
from ci.suite.accuracy import load_accuracy
from ci.suite.cases import case_of, find_cases
from ci.suite.cibench.matrix import is_matrix
from ci.suite.load import load_night_suite
from ci.suite.select import Wanted, nights_of

CORPUS = Path(os.environ.get("CASE_CORPUS", "nowhere"), "vllm-cibench", "configs")
needs_corpus = pytest.mark.skipif(
    "CASE_CORPUS" not in os.environ,
    reason="CASE_CORPUS is unset: name the folder that holds vllm-cibench/",
)
MATRIX = """\
one:
  pr: {functional: all, perf: false, accuracy: true}
  daily: {functional: [chat_a, chat_b], perf: true, accuracy: true}
two:
  daily: {functional: false, perf: true}
"""
SCENARIO = "id: %s\nmode: local\nmodel: org/m\nserved_model_name: m\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv("LAMPLIGHTER_FUNCTIONAL_CONFIG", raising=False)
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "tests").mkdir()
    for name in ("one", "two"):
        (tmp_path / "scenarios" / f"{name}.yaml").write_text(SCENARIO % name)
    (tmp_path / "tests" / "functional.yaml").write_text("suite: false\ncases: []\n")
    (tmp_path / "tests" / "perf.yaml").write_text(
        "enabled: true\nmatrix: {concurrency: [1, 4], input_len: 128, output_len: [64, 128]}\n"
    )
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    return tmp_path


def nights(folder, run_type):
    suite = load_night_suite(folder / "matrix.yaml")
    found = find_cases(suite)
    assert found.problems == ()
    return nights_of(suite, found.cases, Wanted(run_type, TODAY))


def test_scenarios_run_types_and_parts(folder):
    suite = load_night_suite(folder / "matrix.yaml")
    assert suite.run_types == ("pr", "daily")
    (one,) = nights(folder, "pr")
    assert (one.stages, one.functional_cases) == (("functional", "accuracy"), ())
    assert one.functional == str(folder / "tests/functional.yaml")
    one, two = nights(folder, "daily")
    assert one.functional_cases == ("chat_a", "chat_b")
    assert one.stages == ("functional", "accuracy", "performance")
    assert (two.stages, two.functional) == (("performance",), "none")


def test_the_environment_names_another_functional_suite(folder, monkeypatch):
    monkeypatch.setenv("LAMPLIGHTER_FUNCTIONAL_CONFIG", "other.yaml")
    assert nights(folder, "pr")[0].functional == "other.yaml"


def test_performance_is_multiplied_out(folder):
    _, two = nights(folder, "daily")
    assert [
        (each.name, each.input_len, each.max_out_len, each.batch_size, each.num_prompts)
        for each in case_of(two).benchmarks
    ] == [
        ("perf-in128-out64-1", 128, 64, 1, 8),
        ("perf-in128-out64-4", 128, 64, 4, 32),
        ("perf-in128-out128-1", 128, 128, 1, 8),
        ("perf-in128-out128-4", 128, 128, 4, 32),
    ]


def test_without_perf_yaml_nothing_is_measured(folder):
    (folder / "tests" / "perf.yaml").write_text("enabled: false\n")
    assert case_of(nights(folder, "daily")[1]).benchmarks == ()
    (folder / "tests" / "perf.yaml").unlink()
    assert case_of(nights(folder, "daily")[1]).benchmarks == ()


def test_repeated_runs_are_a_warning(folder):
    (folder / "tests" / "perf.yaml").write_text("runs: 3\n")
    (warning,) = load_night_suite(folder / "matrix.yaml").warnings
    assert (warning.key, warning.line) == ("runs", 1)


def test_accuracy_yaml_beside_it_has_an_effect(folder):
    assert load_night_suite(folder / "matrix.yaml").document.accuracy is None
    (folder / "tests" / "accuracy.yaml").write_text("task: gpqa\n")
    assert load_night_suite(folder / "matrix.yaml").document.accuracy == "tests/accuracy.yaml"


def test_a_missing_scenario_has_its_place(folder):
    (folder / "scenarios" / "two.yaml").unlink()
    suite = load_night_suite(folder / "matrix.yaml")
    (problem,) = find_cases(suite).problems
    assert (problem.line, problem.key) == (4, "two")
    assert "scenarios/two.yaml" in problem.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "a: {pr: {perf: 1}}\n",
            "s.yaml:1:16: a.pr.perf: expected true or false, found the number 1",
        ),
        (
            "a: {pr: {perf: true, acuracy: true}}\n",
            "a.pr.acuracy: unknown key; did you mean 'accur",
        ),
        ("a: {pr: {functional: some}}\n", "a.pr.functional: expected all, none or a list of names"),
        ("a: {PR: {perf: true}}\n", "a.PR: 'PR' cannot name a run type"),
        ("a b: {pr: {perf: true}}\n", "'a b' cannot name a scenario"),
    ],
)
def test_mistakes(text, expected):
    with pytest.raises(CaseError) as raised:
        suite_of(text, "s.yaml")
    assert expected in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MATRIX, True),
        ("a: {pr: {perf: true}}\nb: {}\n", False),
        ("a: {pr: {x: true}}\n", False),
        ("a: {pr: perf}\n", False),
        ("a: 1\n", False),
    ],
)
def test_what_is_a_matrix(text, expected):
    assert is_matrix(read(text.encode(), "m.yaml").value) is expected


@needs_corpus
def test_the_field_s_own_matrix_loads(monkeypatch):
    """One of its three scenarios is not in the corpus."""
    monkeypatch.delenv("LAMPLIGHTER_FUNCTIONAL_CONFIG", raising=False)
    suite = load_night_suite(CORPUS / "matrix.yaml")
    found = find_cases(suite)
    assert [problem.key for problem in found.problems] == ["k8s_hybrid_qwen3-32b_tp2_w4a8"]
    accuracy = load_accuracy(CORPUS / suite.document.accuracy)
    for run_type in ("pr", "daily"):
        wanted = Wanted(run_type, TODAY, accuracy=accuracy)
        one, apart = nights_of(suite, found.cases, wanted)
        assert (one.needs.count, apart.needs.count) == (1, 3)
        assert one.stages == ("functional", "accuracy", "performance")
        assert [each.name for each in case_of(one).benchmarks] == [
            *(f"perf-in128-out128-{number}" for number in (1, 2, 4)),
            "gpqa",
        ]


@needs_corpus
@pytest.mark.parametrize(
    "path", sorted(CORPUS.glob("scenarios/*.yaml")), ids=lambda path: path.stem
)
def test_the_field_s_own_scenarios_load(path):
    (case,) = load(path)
    assert case.name == path.stem
