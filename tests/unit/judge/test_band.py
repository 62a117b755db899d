"""What a fixed band does, and which other one does better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ci.judge.asked import Asked
from ci.judge.band import at_most, fails, fault, need
from ci.judge.better_band import better_threshold, narrowest, with_threshold
from ci.judge.planned import PlannedCheck, chances
from ci.judge.verdict import check as judged
from ci.tools.model import Measurement, Result


def accuracy(items, baseline, threshold, **more):
    return PlannedCheck("accuracy", baseline, baseline - threshold, items, **more)


def performance(factor, **more):
    return PlannedCheck("performance", 1000, 1000 * factor, **more)


@pytest.mark.parametrize(
    ("check", "correct"),
    [
        (accuracy(30, 90, 10), 24),
        (accuracy(30, 90, 5), 26),
        (accuracy(30, 80, 10, passes=4), 84),
        # 23 of 30 are 76.666…, which a tool that rounds prints as 76.67.
        (accuracy(30, 86.67, 10), 24),
        (accuracy(30, 86.67, 10, decimals=2), 23),
        (accuracy(1319, 95, 3), 1214),
        (accuracy(30, 90, 90), 0),
        (accuracy(30, 90, -20), 31),
    ],
)
def test_the_fewest_correct_answers_that_pass(check, correct):
    assert need(check) == correct


@pytest.mark.parametrize(
    ("items", "baseline", "threshold"),
    [(30, 86.67, 10), (30, 93.33, 10), (198, 85.35, 5), (64, 70.3, 0.3), (1319, 95.07, 1)],
)
def test_it_is_the_bound_of_the_judge(items, baseline, threshold):
    """The fewest that pass do pass, and one less fails."""
    check = accuracy(items, baseline, threshold)
    asked = Asked("acc", "accuracy", "accuracy", (baseline, threshold))
    outcomes = []
    for correct in (need(check), need(check) - 1):
        value = 100 * correct / items
        figure = Measurement("acc", "accuracy", value, "%", items, "", "")
        outcomes.append(judged(asked, Result((figure,), ())).outcome)
    assert outcomes == ["pass", "fail"]


@pytest.mark.parametrize(
    ("check", "healthy", "with_10"),
    [
        (accuracy(30, 90, 5), stats.binom.cdf(25, 30, 0.9), stats.binom.cdf(25, 30, 0.8)),
        (accuracy(30, 80, 10, passes=4), *(stats.binom.cdf(83, 120, p) for p in (0.8, 0.7))),
        (accuracy(1319, 95, 1), *(stats.binom.cdf(1239, 1319, p) for p in (0.95, 0.85))),
        # A model that was always right is taken for one with half a mistake more to come.
        (accuracy(32, 100, 10), *(stats.binom.cdf(28, 32, 32.5 / 33 - d) for d in (0, 0.1))),
        (accuracy(30, 90, 90), 0, 0),
        (accuracy(30, 8, 2), stats.binom.cdf(1, 30, 0.08), 1),
        (performance(0.97), *(stats.norm.cdf(np.log(0.97 / f) / 0.015) for f in (1, 0.9))),
        (performance(0.97, noise=3), *(stats.norm.cdf(np.log(0.97 / f) / 0.03) for f in (1, 0.9))),
        (performance(0.97, noise=3, passes=4), stats.norm.cdf(np.log(0.97) / 0.015), 1),
        (performance(0), 0, 0),
        (performance(1), 0.5, 1),
    ],
)
def test_how_often_a_band_fails(check, healthy, with_10):
    assert fails(check) == pytest.approx(healthy, abs=1e-9)
    assert fails(check, 10) == pytest.approx(with_10, abs=1e-6)


@pytest.mark.parametrize(
    ("items", "baseline", "passes"), [(30, 80, 1), (30, 80, 8), (200, 95, 1), (1319, 60, 1)]
)
@pytest.mark.parametrize("within", [0.2, 0.5, 1.0])
def test_hard_items_leave_their_share_of_the_variance(items, baseline, passes, within):
    check = accuracy(items, baseline, 5, passes=passes, within=within)
    right = chances(check)
    assert 100 * right.mean() == pytest.approx(baseline)
    share = float(np.mean(right * (1 - right))) / (baseline / 100 * (1 - baseline / 100))
    assert share == pytest.approx(within, abs=0.04)
    assert 100 * chances(check, 10).mean() == pytest.approx(baseline - 10)


def test_hard_items_are_a_sum_of_different_chances():
    """The exact distribution, against nights that are drawn."""
    check = accuracy(30, 80, 10, passes=2)
    drawn = np.random.default_rng(1).binomial(2, chances(check), (200_000, 30)).sum(axis=1)
    for correct in (40, 44, 48, 52):
        assert at_most(check, correct) == pytest.approx(np.mean(drawn <= correct), abs=0.004)


def test_alike_items_are_independent_answers():
    check = accuracy(1319, 95, 2, within=1.0)
    assert fails(check, 2, independent=False) == pytest.approx(fails(check, 2), abs=1e-9)


def test_nights_differ_less_where_hard_items_stay_hard():
    check = accuracy(30, 90, 5)
    assert fails(check, independent=False) < fails(check) - 0.05


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (accuracy(30, 90, 5), "too narrow"),
        (accuracy(30, 90, 10), "too wide"),
        (accuracy(1319, 95, 3), ""),
        (accuracy(1319, 95, 10), "too wide"),
        (accuracy(1319, 95, 0), "too narrow"),
        (accuracy(30, 90, 90), "never fails"),
        (accuracy(30, 90, 87), "never fails"),
        (performance(0.97), ""),
        (performance(0.9), "too wide"),
        (performance(0.97, noise=3), "too narrow"),
        (performance(1), "too narrow"),
        (performance(0), "never fails"),
        (PlannedCheck("performance", 1000), ""),
    ],
)
def test_what_is_wrong_with_a_band(check, expected):
    assert fault(check) == expected


@pytest.mark.parametrize(
    ("check", "threshold"),
    [
        (accuracy(1319, 95, 10), 1.5),
        (accuracy(1319, 95, 3), None),
        (accuracy(30, 90, 5), 13.4),
        (accuracy(30, 90, 10), None),
        (accuracy(30, 90, 50), 13.4),
        (accuracy(30, 1, 0.5), None),
        (performance(0.9), 0.96),
        (performance(0.97), None),
        (performance(1), 0.96),
        (performance(0.97, noise=6), 0.86),
    ],
)
def test_a_better_band_is_proposed_where_there_is_one(check, threshold):
    assert better_threshold(check) == threshold


@pytest.mark.parametrize("items", [30, 198, 1319])
@pytest.mark.parametrize("baseline", [20, 57, 85.35, 95])
def test_the_narrowest_band_fails_few_healthy_nights_and_the_next_more(items, baseline):
    check = PlannedCheck("accuracy", baseline, None, items)
    threshold = narrowest(check)
    assert fails(with_threshold(check, threshold)) <= 0.01
    assert fails(with_threshold(check, threshold - 0.1)) > 0.01


def test_more_passes_allow_a_narrower_band():
    check = PlannedCheck("accuracy", 80, None, 30)
    thresholds = [narrowest(replace(check, passes=passes)) for passes in (1, 4, 16)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] < 5
