"""Test which cases a suite finds: names, patterns, paths, sweeps, tags; and what is missing."""

import pytest
from suites import SWEPT, nights, suite_of, write_case

from ci.errors import CaseError, UserError
from ci.suite.cases import case_of, find_cases


@pytest.fixture
def folder(tmp_path):
    for name in ("Qwen3-8B", "Qwen3-32B", "DeepSeek-V3"):
        write_case(tmp_path, name, more="tags: [big]\n" if name == "DeepSeek-V3" else "")
    (tmp_path / "swept.yaml").write_text(SWEPT)
    (tmp_path / "more").mkdir()
    write_case(tmp_path / "more", "Own")
    return tmp_path


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{cases: Qwen3-8B}", ["Qwen3-8B"]),
        ("{cases: Qwen3-8B.yaml}", ["Qwen3-8B"]),
        ("{cases: Qwen3-*}", ["Qwen3-32B", "Qwen3-8B"]),
        ("{cases: [DeepSeek-V3, 'Qwen3-?B']}", ["DeepSeek-V3", "Qwen3-8B"]),
        ("{cases: '*', without: [swept, 'Qwen3-*']}", ["DeepSeek-V3"]),
        ("{cases: '*', tagged: [big, small]}", ["DeepSeek-V3"]),
        ("{cases: swept}", ["swept-block16", "swept-block32", "swept-block64"]),
        ("{cases: swept, without: '*32'}", ["swept-block16", "swept-block64"]),
        ("{cases: swept#block32}", ["swept-block32"]),
        ("{cases: 'swept#*[34]*'}", ["swept-block32", "swept-block64"]),
        ("{cases: more/Own}", ["Own"]),
        ("{cases: ./more/*.yaml}", ["Own"]),
        ("{cases: [Qwen3-8B, Qwen3-8B]}", ["Qwen3-8B"]),
    ],
)
def test_which_cases_are_found(folder, entry, expected):
    found = nights(folder, f"nights: [{entry}]\n")
    assert [night.case.name for night in found] == expected


def test_an_absolute_path(folder):
    (night,) = nights(folder, f"nights: [{{cases: {folder}/more/Own.yaml}}]\n")
    assert night.config == f"{folder}/more/Own.yaml"


def test_a_case_of_several_is_named_with_its_file(folder):
    (night,) = nights(folder, "nights: [{cases: swept#block32}]\n")
    assert night.config == f"{folder}/swept.yaml#swept-block32"
    assert case_of(night, folder).name == "swept-block32"


def test_the_last_entry_with_a_case_counts(folder):
    found = nights(folder, "nights: [{cases: '*'}, {cases: Qwen3-8B, priority: 5}]\n")
    assert [night.priority for night in found if night.case.name == "Qwen3-8B"] == [5]
    assert len(found) == 6


def problems(folder, entry):
    suite = suite_of(f"nights:\n  - {entry}\n", folder / "suite.yaml")
    return find_cases(suite, folder)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{cases: Qwen3-9B}", "nights[0].cases: no case file 'Qwen3-9B'; did you mean 'Qwen3-8B'?"),
        ("{cases: [Nothing*]}", "nights[0].cases[0]: no case file in"),
        ("{cases: other/x}", "/other/x; write its path from this file on"),
        ("{cases: swept#block3x}", "nights[0].cases: no case 'block3x' in"),
        ("{cases: 'Qwen3-8B#x'}", "there are: Qwen3-8B"),
    ],
)
def test_what_is_not_there_has_its_place(folder, entry, expected):
    (problem,) = problems(folder, entry).problems
    assert expected in str(problem)
    assert problem.line == 2


def test_a_broken_case_does_not_hinder_the_others(folder):
    (folder / "Broken.yaml").write_text("test_name: t\nmodle: m\n")
    found = problems(folder, "{cases: '*', without: swept}")
    assert len(found.cases) == 3
    assert {problem.file for problem in found.problems} == {str(folder / "Broken.yaml")}


def test_a_file_of_another_tool_is_refused(folder):
    (folder / "pod.yaml").write_text("apiVersion: v1\nkind: Pod\n")
    (problem,) = problems(folder, "{cases: pod}").problems
    assert "a Kubernetes manifest, not a case" in problem.message


def test_a_night_s_case_has_only_the_parts_that_run(folder):
    text = """\
run_types:
  daily: {stages: [performance], set: {model: org/other}}
  pr: {benchmarks: acc}
  odd: {benchmarks: nope}
nights: [{cases: Qwen3-8B}]
"""
    (night,) = nights(folder, text)
    case = case_of(night, folder)
    assert case.model == "org/other"
    assert [each.name for each in case.benchmarks] == ["perf-1", "perf-8"]
    (night,) = nights(folder, text, "pr")
    assert [each.name for each in case_of(night, folder).benchmarks] == ["acc"]
    (night,) = nights(folder, text, "odd")
    with pytest.raises(
        UserError, match="no benchmark is named nope; there are: acc, perf-1, perf-8"
    ):
        case_of(night, folder)


def test_a_setting_that_the_case_does_not_know(folder):
    (night,) = nights(folder, "nights: [{cases: Qwen3-8B, set: {modle: m}}]\n")
    with pytest.raises(CaseError, match="modle: unknown key; did you mean 'model'"):
        case_of(night, folder)
