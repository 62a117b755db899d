"""Figures that are the mean of several passes, judged."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from past_figures import SPEED, TONIGHT, past

from ci.judge.against import counts_of, measured_of, written_of
from ci.judge.baseline import Accepted, Holding, Ledger, holding
from ci.judge.comparable import History, comparable, differences
from ci.judge.decide import Ruling
from ci.judge.evidence import Evidence, Subject, examine, noise_of
from ci.judge.level import LevelHistory
from ci.judge.measured import ItemCounts, Measured, RunNoise
from ci.judge.paired import compare_items
from ci.judge.scale import Scale
from ci.judge.sentence import interval_of
from ci.tools.model import Item

SPEEDS = Scale("performance")
POINTS = Scale("accuracy")


def of_passes(figure, passes, **changes):
    settings = replace(figure.conditions, passes=passes)
    runs = (figure.value,) * passes if passes > 1 else ()
    return replace(figure, conditions=settings, runs=runs, **changes)


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [(1, 4, "1 pass, now 4"), (2, 4, "2 passes, now 4"), (4, 1, "4 passes, now 1"), (4, 4, "")],
)
def test_a_score_is_compared_with_nights_of_as_many_passes(before, now, reason):
    history = comparable(of_passes(TONIGHT, now), [of_passes(past(), before)])
    assert [each.reason for each in history.left_out] == [reason] * bool(reason)


@pytest.mark.parametrize(("before", "now"), [(1, 4), (4, 1)])
def test_a_speed_is_compared_with_nights_of_any_number_of_passes(before, now):
    earlier = of_passes(past(of=SPEED), before)
    assert comparable(of_passes(SPEED, now), [earlier]).figures == (earlier,)


def test_the_number_of_passes_is_no_setting_of_a_baseline():
    tonight, earlier = of_passes(TONIGHT, 4), of_passes(past(), 2)
    assert differences(tonight, earlier) == ()
    entry = Accepted("acc", "accuracy", 90.0, "%", questions="q1", conditions=earlier.conditions)
    assert holding(tonight, Ledger("c", (entry,))).value == 90.0
    # Below it, a figure is not one of other settings.
    low = replace(tonight, value=60.0, runs=(60.0,) * 4, n=160)
    evidence = found(Subject(low, (earlier,), Holding(90.0, "case.yaml", threshold=5.0)))
    assert evidence.ruling.finding == "worse"
    assert evidence.history.reasons == {"2 passes, now 4": 1}


def found(subject: Subject) -> Evidence:
    """Examine a figure, without further measurements."""
    examining = examine(subject)
    try:
        next(examining)
        while True:
            examining.send(None)
    except StopIteration as ended:
        return ended.value


def test_passes_tell_the_noise_of_a_run():
    values = [(1000.0, 1010.0, 990.0), (1005.0, 1020.0, 1000.0), (985.0, 1000.0, 990.0)]
    nights = [
        past(at, of=SPEED, value=float(np.mean(runs)), runs=runs)
        for at, runs in enumerate(values, 1)
    ]
    logs = [100 * np.log(runs) for runs in values]
    sd = math.sqrt(sum(float(np.sum((each - each.mean()) ** 2)) for each in logs) / 6)
    noise = noise_of(nights, SPEEDS, passes=3)
    assert (noise.sd, noise.df) == (pytest.approx(sd / math.sqrt(3)), 6)
    assert noise_of(nights, SPEEDS).sd == pytest.approx(sd)
    assert noise_of(nights[:2], SPEEDS) is None
    # A whole measurement that was repeated tells the same, with one more freedom.
    again = replace(nights[0], repeat=1, value=nights[0].value * 1.01, runs=values[0])
    more = noise_of([*nights, again], SPEEDS, passes=3)
    assert more.df == 6 + 2 + 1
    squares = 6 * sd**2 + float(np.sum((logs[0] - logs[0].mean()) ** 2))
    squares += 3 * (100 * math.log(1.01)) ** 2 / 2
    assert more.sd == pytest.approx(math.sqrt(squares / 9 / 3))


def test_a_pass_without_a_figure_tells_no_noise():
    night = past(of=SPEED, value=500.0, runs=(1000.0, 0.0))
    assert noise_of([night] * 9, SPEEDS, passes=2) is None


@pytest.mark.parametrize(("before", "now"), [(3, 3), (3, 1), (1, 3)])
def test_the_noise_of_another_number_of_passes_is_taken_into_account(before, now):
    random = np.random.default_rng(1)
    sd = 2.0  # of a pass, in percent; nights differ by nothing else
    values = 1000 * np.exp(random.normal(0, sd / 100 / math.sqrt(before), 400))
    nights = [Measured(float(value), passes=before) for value in values]
    noise = RunNoise(sd / math.sqrt(now), 100)
    history = LevelHistory(nights, SPEEDS, noise, now)
    expected = sd / math.sqrt(now)
    assert history.spread(history.level("")) == pytest.approx(expected, rel=0.1)
    assert history.spread(history.level(""), 4) == pytest.approx(expected / 2, rel=0.15)


def test_passes_of_the_same_items_count_as_one_of_their_mean_against_a_written_baseline():
    written = written_of(80.0, None, POINTS)
    once, several = Measured(70.0, 30), Measured(70.0, 480, passes=16)
    assert written.p_low([several]) == written.p_low([once])
    assert written.lowest(0.005, several) == written.lowest(0.005, once)


def test_the_items_of_pass_at_k_say_nothing_of_it():
    assert counts_of(replace(TONIGHT, metric="avg@4")) is not None
    assert counts_of(replace(TONIGHT, metric="pass@4")) is None
    assert measured_of(of_passes(TONIGHT, 4)).passes == 4


@pytest.mark.parametrize(
    ("correct", "independent"),
    [
        # All answers of an item are the same: 16 answers are worth one.
        ([16] * 24 + [0] * 6, 30),
        # Each item has the same share.
        ([13, 12] * 15, 480),
        # 30 × 0.8 × 0.2 / the variance of the shares.
        ([16] * 20 + [8] * 8 + [0] * 2, 30 * 0.16 / (2.8 / 29)),
    ],
)
def test_several_answers_to_an_item_are_worth_less_than_as_many_items(correct, independent):
    counts = ItemCounts(tuple(map(str, range(30))), np.array(correct), 16)
    value = 100 * sum(correct) / 480
    evidence = Evidence(Ruling("pass", "as expected"), "", History((), ()), POINTS)
    low, high = interval_of(Measured(value, 480, counts, passes=16), evidence)
    alone = interval_of(Measured(value, independent), evidence)
    assert (low, high) == pytest.approx(alone, abs=0.3)


def items(*rights: int, passes: int = 4) -> tuple[Item, ...]:
    """Items with so many right answers each, pass after pass."""
    return tuple(
        Item(str(at), f"d{at}", number < right)
        for number in range(passes)
        for at, right in enumerate(rights)
    )


def test_results_of_several_passes_are_compared_by_how_often_items_are_right():
    names = ("through the router", "without it")
    outcome, reason = compare_items(items(*[4] * 10), items(*[4] * 2, *[3] * 8), names)
    assert outcome == "fail"
    assert reason == (
        "of 10 items in all passes, 8 were right more often through the router and 0 more often "
        "without it: p = 0.0078, expected at least 0.01"
    )
    outcome, reason = compare_items(items(*[4] * 10), items(*[3] * 7, *[4] * 3), names)
    assert (outcome, reason.rpartition("; ")[2]) == (
        "pass",
        "the smallest difference that fails is 8 items",
    )
    twice = items(*[2] * 10, passes=2)
    assert compare_items(items(*[4] * 10), twice, names) == (
        "unknown",
        "40 answers through the router and 20 without it: other passes",
    )
    one_more = (*twice, Item("0", "d0", correct=True))
    assert compare_items(twice, one_more, names)[1] == (
        "several items without it have the same id: 0"
    )
