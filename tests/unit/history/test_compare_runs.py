"""Test the comparison of two stored runs: figures, items that flipped, their answers."""

from __future__ import annotations

import pytest
from stored_runs import evaluation, run_of, stored, throughput, with_answers

from ci.history.compare import compare_runs, figure_rows
from ci.record.stored import read_run


def compared(tmp_path, first="11110000", second="01110010", prepare=lambda *_: None):
    folders = [
        stored(tmp_path, run_of(night, evaluation(night, marks=marks)), marks={"acc": marks})
        for night, marks in enumerate((first, second))
    ]
    prepare(*folders)
    return compare_runs(*map(read_run, folders))


def test_checks_come_first_and_other_figures_after_them():
    first = run_of(0, evaluation(0, value=50.0), throughput(0, 100.0))
    second = run_of(1, evaluation(1, value=75.0), throughput(1, 80.0, name="new"))
    rows = list(figure_rows(first, second))
    assert [(each.name, each.metric) for each in rows] == [
        ("acc", "accuracy"),
        ("perf", "output_token_throughput"),
        ("new", "output_token_throughput"),
        ("perf", "ttft_p50"),
        ("new", "ttft_p50"),
    ]
    accuracy, gone, new, latency, _ = rows
    assert (accuracy.values, accuracy.outcomes) == ((50.0, 75.0), ("pass", "pass"))
    assert (accuracy.change, accuracy.percent) == (25.0, 50.0)
    assert (gone.values, gone.outcomes, gone.change, gone.percent) == (
        (100.0, None),
        ("pass", ""),
        None,
        None,
    )
    assert (new.values, new.unit) == ((None, 80.0), "tok/s")
    assert (latency.values, latency.outcomes) == ((50.0, None), ("", ""))


def test_a_figure_that_was_zero_has_no_percentage():
    rows = figure_rows(run_of(0, evaluation(0, value=0.0)), run_of(1, evaluation(1)))
    assert next(rows).percent is None


def test_items_that_flipped_have_the_answers_of_both_runs(tmp_path):
    def prepare(first, second):
        with_answers(first, {"0": "so 7", "6": "so 8"})
        with_answers(second, {"0": "so 9"})

    (items,) = compared(tmp_path, prepare=prepare).items
    assert (items.benchmark, items.outcome) == ("acc", "pass")
    assert items.reason.startswith(
        "of 8 items, 1 were right only in A and 1 only in B: p = 1; the smallest difference"
    )
    lost, gained = items.flips
    assert (lost.id, lost.right_in, gained.id, gained.right_in) == ("0", "A", "6", "B")
    assert [answer.answer for answer in lost.answers] == ["so 7", "so 9"]
    assert lost.answers[0].expected == "#### 7"
    assert (gained.answers[0].answer, gained.answers[1]) == ("so 8", None)


def test_a_significant_difference_of_items_is_a_failure(tmp_path):
    (items,) = compared(tmp_path, "1" * 12, "0" * 10 + "11").items
    assert items.outcome == "fail"
    assert len(items.flips) == 10
    assert {flip.answers for flip in items.flips} == {(None, None)}


def test_items_that_are_no_pairs_are_unknown_and_only_the_same_questions_flip(tmp_path):
    def prepare(_, second):
        file = second / "evaluate/acc/items.jsonl"
        file.write_text(file.read_text().replace(f"{0:016x}", "another"))

    (items,) = compared(tmp_path, prepare=prepare).items
    assert items.outcome == "unknown"
    assert items.reason == "the prompts of these items differ: 0"
    assert [flip.id for flip in items.flips] == ["6"]


def test_performance_has_no_items_to_compare(tmp_path):
    folders = [stored(tmp_path, run_of(night, throughput(night))) for night in range(2)]
    found = compare_runs(*map(read_run, folders))
    assert (found.items, found.differences) == ((), ())
    assert found.sentence.startswith("No known variable differs")


def test_items_that_cannot_be_read_are_a_note(tmp_path):
    def prepare(first, _):
        (first / "evaluate/acc/items.jsonl").unlink()

    found = compared(tmp_path, prepare=prepare)
    assert found.items == ()
    assert any("items are not compared: " in note for note in found.notes)


@pytest.mark.parametrize("target", ["/etc", "../../../.."])
def test_answers_outside_of_the_folder_are_not_read(tmp_path, target):
    def prepare(first, _):
        outside = tmp_path / "outside"
        with_answers(outside, {"0": "secret"})
        raw = first / "evaluate/acc/raw"
        raw.parent.mkdir(exist_ok=True)
        raw.symlink_to(outside / "evaluate/acc/raw" if target == "/etc" else target)

    (items,) = compared(tmp_path, prepare=prepare).items
    assert items.flips[0].answers == (None, None)


def test_one_variable_that_differs_is_told(tmp_path):
    folders = [
        stored(tmp_path, run_of(night, versions={"vllm served": version}))
        for night, version in enumerate(("0.31.0", "0.32.0"))
    ]
    found = compare_runs(*map(read_run, folders))
    assert [(each.variable, each.parts) for each in found.differences] == [
        ("vLLM", ("0.31.0 → 0.32.0",))
    ]
    assert found.sentence.startswith("One variable differs, vLLM: ")
    assert len(found.notes) == 2  # neither run has a plan
