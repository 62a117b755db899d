"""How often a night asks a benchmark with `repeats: auto`."""

from __future__ import annotations

import pytest

from ci.case.benchmark import Benchmark
from ci.judge.decide import Levels
from ci.judge.passes import GREEDY, UNKNOWN, passes_of
from ci.judge.planned import PlannedCheck
from ci.judge.power import Draw, power


def benchmark(**keys: object) -> Benchmark:
    given = {"name": "b", "case_type": "accuracy", "dataset_path": "gsm8k", "max_out_len": 8}
    return Benchmark(**given | {"batch_size": 1, "repeats": "auto"} | keys)


@pytest.mark.parametrize(
    ("items", "number"),
    [(1, 16), (15, 16), (30, 16), (60, 9), (100, 6), (198, 3), (500, 2), (540, 1), (14_000, 1)],
)
def test_an_accuracy_has_as_many_passes_as_show_a_loss(items, number):
    passes = passes_of(benchmark(), items)
    assert (passes.number, passes.auto, passes.doubt) == (number, True, "")


@pytest.mark.parametrize(
    ("keys", "items", "number", "auto", "doubt"),
    [
        ({"repeats": 5}, 30, 5, False, ""),
        ({"repeats": 5, "temperature": 0}, 30, 5, False, ""),
        ({"case_type": "performance"}, 0, 3, True, ""),
        ({}, 0, 1, True, UNKNOWN),
        # Its baseline is no part of it: with another one, nights would not be comparable.
        ({"baseline": 98.0, "threshold": 2.0}, 60, 9, True, ""),
        ({"temperature": 0}, 30, 1, True, GREEDY),
        ({"top_k": 1}, 30, 1, True, GREEDY),
        # The defaults of the tools.
        ({"tool": "lm_eval"}, 30, 1, True, GREEDY),
        ({"tool": "evalscope"}, 30, 1, True, GREEDY),
        ({"tool": "lm_eval", "temperature": 0.6}, 60, 9, True, ""),
    ],
)
def test_what_the_case_says_comes_first(keys, items, number, auto, doubt):
    passes = passes_of(benchmark(**keys), items)
    assert (passes.number, passes.auto, passes.doubt) == (number, auto, doubt)


@pytest.mark.parametrize(("items", "score"), [(198, 50.0), (198, 80.0), (60, 50.0)])
def test_the_judge_finds_a_loss_of_5_points_in_9_of_10_nights(items, score):
    """The formula stands for draws of the judge; these are few, so that they may say 0.87."""
    passes = passes_of(benchmark(), items).number
    check = PlannedCheck("accuracy", score, None, items, passes)
    assert power(check, 5.0, Levels(), Draw(200)).fails >= 0.87


def test_one_pass_less_finds_it_more_rarely():
    check = PlannedCheck("accuracy", 50.0, None, 198, passes_of(benchmark(), 198).number - 1)
    assert power(check, 5.0, Levels(), Draw(200)).fails < 0.87
