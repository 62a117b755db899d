"""Benchmarks that a night asked several times, in the history."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored_runs import evaluation, items_like, run_of, stored, throughput

from ci.history.compare import compare_runs
from ci.history.database import MIGRATIONS, opened, transaction
from ci.history.folders import refresh
from ci.history.night import figures_of, night_of, of_one_pass
from ci.history.store import figures, stored_items
from ci.judge.past import CheckId
from ci.record.stored import read_run
from ci.tools.model import Item

ACC = CheckId("local", "acc", "accuracy")


def in_passes(night, *marks, **changes):
    """Return an evaluation of passes with these marks."""
    each = [100 * part.count("1") / len(part) for part in marks]
    entry = evaluation(night, marks="".join(marks), settings={"passes": len(marks)}, **changes)
    entry["settings"]["num_prompts"] = len(marks[0])
    entry["measurements"][0] |= {"value": sum(each) / len(each), "runs": each}
    return entry


def written(runs, night, *marks):
    """Write the folder of a night with passes of these marks."""
    run = run_of(night, in_passes(night, *marks))
    folder = stored(runs, run)
    lines = [line for part in marks for line in items_like(part)]
    file = folder / run.evaluations[0].items
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return folder


def past(runs):
    with opened(runs) as connection:
        refresh(runs, connection, pytest.fail)
        return figures(connection, ACC)


def test_each_item_has_an_answer_of_each_pass(tmp_path):
    written(tmp_path, 0, "1101", "1001", "1000")
    (figure,) = past(tmp_path)
    assert figure.items == {"0": (3, 3), "1": (1, 3), "2": (0, 3), "3": (2, 3)}
    assert figure.runs == (75, 50, 25)
    assert (figure.value, figure.n, figure.n_items, figure.missing) == (50, 12, 12, 0)
    assert (figure.passes, figure.conditions.passes, figure.conditions.num_prompts) == (3, 3, 4)


def test_the_questions_are_those_of_one_pass(tmp_path):
    written(tmp_path, 0, "1101", "1001")
    stored(tmp_path, run_of(1))
    several, once = past(tmp_path)
    assert several.questions == once.questions != ""
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM questions").fetchone() == (1,)
        items = stored_items(connection, several.run, "acc")
    assert [(item.id, item.correct) for item in items[:4]] == [
        *(("0", True), ("0", True), ("1", True), ("1", False)),
    ]
    assert {item.prompt_digest for item in items[:2]} == {"0" * 16}


def test_the_questions_of_passes_that_differ_are_all_of_them():
    asked = [Item("0", "a"), Item("0", "a"), Item("1", "b"), Item("1", "c")]
    assert of_one_pass(asked, 2) == tuple(asked)
    assert of_one_pass(asked[:3], 2) == tuple(asked[:3])
    assert of_one_pass(asked[:2], 2) == tuple(asked[:1])
    assert of_one_pass((), 2) == ()


def test_a_pass_that_was_not_asked_is_missing():
    entry = in_passes(0, "1101", "1001") | {"n_items": 4, "problems": ["pass 2 of 2: late"]}
    (figure, *_) = figures_of(night_of(run_of(0, entry), {}))
    assert figure.missing == 4


def test_a_database_without_passes_gets_them(tmp_path):
    before = next(at for at, script in enumerate(MIGRATIONS) if "COLUMN runs" in script)
    with opened(tmp_path, MIGRATIONS[:before]) as connection, transaction(connection):
        connection.execute(
            "INSERT INTO runs VALUES "
            "(1, 'r', 'r', 'local', 'c', 'pass', '', '', '', '', '', '', '[]', 't', 't', '', '', "
            "'night')"
        )
        connection.execute(
            "INSERT INTO evaluations VALUES "
            "(1, 0, 'acc', 0, 't', 't', NULL, '', 0, 0, 0, 0, 0, '[]')"
        )
        connection.execute("INSERT INTO figures VALUES (1, 0, 0, 'accuracy', 75, '%', 4)")
    with opened(tmp_path) as connection:
        (figure,) = figures(connection, ACC)
    assert (figure.value, figure.runs, figure.passes) == (75, (), 1)


def test_a_salt_is_no_other_option_of_a_tool():
    """`vllm bench serve` has no digests of prompts, so that its options are compared."""

    def arguments(*further):
        entry = throughput(0, settings={"argv": ["vllm", "bench", *further, "--seed", "0"]})
        (figure, *_) = figures_of(night_of(run_of(0, entry), {}))
        return figure.conditions.arguments

    salted = json.dumps({"cache_salt": "perf-pass-2"})
    assert arguments("--extra-body", salted) == arguments() == ("vllm", "bench", "--seed", "0")
    stops = json.dumps({"stop": ["x"]})
    both = json.dumps({"stop": ["x"], "cache_salt": "perf-pass-2"})
    assert arguments("--extra-body", both) == arguments("--extra-body", stops)
    for damaged in ("{", "[1]"):
        assert damaged in arguments("--extra-body", damaged)


def test_two_runs_with_passes_are_compared_by_how_often_items_are_right(tmp_path):
    folders = (
        written(tmp_path, 0, "1" * 10, "1" * 10),
        written(tmp_path, 1, "1" * 10, "1" * 9 + "0"),
        written(tmp_path, 2, "1" * 10, "1" * 10, "1" * 10),
    )
    first, second, third = map(read_run, folders)
    compared = compare_runs(first, second)
    (items,) = compared.items
    assert items.reason.startswith(
        "of 10 items in all passes, 1 were right more often in A and 0 more often in B: p = 1;"
    )
    assert [(flip.id, flip.right_in) for flip in items.flips] == [("9", "A")]
    assert not any(each.variable.startswith("settings") for each in compared.differences)
    other = compare_runs(first, third)
    (settings,) = [each for each in other.differences if each.variable == "settings of acc"]
    assert settings.parts == ("passes 2 → 3",)
    (items,) = other.items
    assert (items.outcome, items.reason) == (
        "unknown",
        "20 answers in A and 30 in B: other passes",
    )


def test_a_record_without_passes_is_one_of_a_pass():
    run = run_of(0)
    assert (run.evaluations[0].passes, run.evaluations[0].settings.passes) == ((), 1)
    assert replace(run.evaluations[0].measurements[0]).runs == ()
