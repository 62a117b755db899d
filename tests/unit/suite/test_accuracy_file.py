"""Test accuracy.yaml: one evaluation and its least score for every night."""

import pytest
from suites import SWEPT, nights, write_case

from ci.errors import CaseError
from ci.suite.accuracy import load_accuracy
from ci.suite.cases import case_of


@pytest.fixture
def folder(tmp_path):
    write_case(tmp_path, "a")
    text = (tmp_path / "a.yaml").read_text()
    (tmp_path / "gsm.yaml").write_text(text.replace("org/own", "vllm-ascend/gsm8k"))
    (tmp_path / "none.yaml").write_text(
        SWEPT.replace("sweep: {block: [16, 32, 64]}", "sweep: {block: [16]}")
    )
    return tmp_path


def settings(folder, case, text):
    (folder / "accuracy.yaml").write_text(text)
    accuracy = load_accuracy(folder / "accuracy.yaml")
    (night,) = nights(folder, f"nights: [{{cases: {case}}}]\n", accuracy=accuracy)
    return night


def test_a_case_gets_the_evaluation(folder):
    night = settings(folder, "a", "task: gpqa\nmax_samples: 100\nmin_score: 0.35\n")
    added = next(each for each in case_of(night, folder).benchmarks if each.name == "gpqa")
    assert (added.dataset_path, added.tool, added.num_prompts) == (
        "vllm-ascend/gpqa",
        "aisbench",
        100,
    )
    assert (added.baseline, added.threshold) == (35, 0)


def test_a_case_without_benchmarks_gets_it_too(folder):
    night = settings(folder, "none", "task: org/own\n")
    (added,) = case_of(night, folder).benchmarks
    assert (added.name, added.dataset_path, added.num_prompts) == ("own", "org/own", None)
    assert added.expected is None  # no least score


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task: gsm8k\nmax_samples: 9\n", ("benchmarks.acc.num_prompts=9",)),
        ("task: gsm8k\nmax_samples: 500\n", ()),
        ("task: gsm8k\ndataset_split: 'validation[:100]'\n", ("benchmarks.acc.num_prompts=100",)),
        ("task: gsm8k\ndataset_split: validation\n", ()),
        (
            "task: gsm8k\nmin_score: 0.5\n",
            ("benchmarks.acc.baseline=50.0", "benchmarks.acc.threshold=0"),
        ),
        ("task: gsm8k\nenabled: false\nmin_score: 0.5\n", ()),
    ],
)
def test_a_case_keeps_a_benchmark_of_the_same_dataset(folder, text, expected):
    assert settings(folder, "gsm", text).settings == expected


@pytest.mark.parametrize(("baseline", "is_replaced"), [(56, False), (54, True)])
def test_the_stricter_bound_counts(folder, baseline, is_replaced):
    own = f"    num_prompts: 500\n    baseline: {baseline}\n    threshold: 5\n"
    path = folder / "gsm.yaml"
    path.write_text(path.read_text().replace("    num_prompts: 500\n", own))
    night = settings(folder, "gsm", "task: gsm8k\nmin_score: 0.5\n")
    assert bool(night.settings) == is_replaced


def test_a_run_type_without_accuracy_gets_none(folder):
    (folder / "accuracy.yaml").write_text("task: gpqa\n")
    accuracy = load_accuracy(folder / "accuracy.yaml")
    text = "run_types: {pr: {stages: [performance]}}\nnights: [{cases: a}]\n"
    assert nights(folder, text, "pr", accuracy=accuracy)[0].settings == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("min_score: 35\n", "min_score: 35 is out of range; it has to be at most 1"),
        ("tsk: gpqa\n", "tsk: unknown key; did you mean 'task'?"),
        ("task: 'a b'\n", "task: 'a b' cannot name a dataset"),
        ("max_samples: 0\n", "max_samples: 0 is out of range"),
    ],
)
def test_mistakes(tmp_path, text, expected):
    path = tmp_path / "accuracy.yaml"
    path.write_text(text)
    with pytest.raises(CaseError) as raised:
        load_accuracy(path)
    assert expected in str(raised.value)
