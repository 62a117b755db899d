"""What the judge of two stages does on nights that are drawn; all draws are frozen by a seed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.judge.decide import Levels
from ci.judge.levels import levels_for
from ci.judge.measured import RunNoise
from ci.judge.month import MonthlyCheck, by_bands, by_judge
from ci.judge.planned import PlannedCheck
from ci.judge.power import Draw, Power, power
from ci.judge.sensitivity import smallest_drop, that_sees

AIME = PlannedCheck("accuracy", 80, 70, 30)
GSM8K = PlannedCheck("accuracy", 95, 92, 200, within=0.4)
THROUGHPUT = PlannedCheck("performance", 1000, 970)
LEVELS = Levels()


@pytest.mark.parametrize(
    ("check", "drop", "least", "most"),
    [
        # AIME in one pass finds 10 points in 3 nights of 10.
        (AIME, 10, 0.15, 0.45),
        (replace(AIME, passes=4), 10, 0.9, 1),
        (replace(AIME, passes=8), 10, 0.97, 1),
        (GSM8K, 5, 0.95, 1),
        (THROUGHPUT, 5, 0.65, 0.92),
        (replace(THROUGHPUT, known=RunNoise(1.5, 20)), 5, 0.75, 0.95),
        (replace(THROUGHPUT, passes=4), 5, 0.97, 1),
    ],
)
def test_how_often_a_loss_is_found(check, drop, least, most):
    assert least <= power(check, drop, LEVELS, Draw(150)).fails <= most


@pytest.mark.parametrize("check", [AIME, GSM8K, replace(THROUGHPUT, known=RunNoise(1.5, 20))])
def test_healthy_nights_rarely_fail_and_cost_little(check):
    drawn = power(check, 0, LEVELS, Draw(300, second=8))
    assert drawn.fails <= 0.0015
    assert drawn.unknown <= 0.05
    assert 0 < drawn.runs <= 0.7


def test_without_a_control_the_repeated_measurements_decide_alone():
    noisy = replace(THROUGHPUT, known=RunNoise(1.5, 20))
    with_control, without = (power(noisy, 5, LEVELS, Draw(150, control=x)) for x in (True, False))
    assert with_control.controls > 1
    assert without.controls == 0
    # What stays low, and is not rare enough, stays unknown.
    assert without.unknown > with_control.unknown


def test_the_same_seed_gives_the_same_figures():
    first, again = (power(AIME, 5, LEVELS, Draw(40, seed=3)) for _ in range(2))
    assert first == again
    assert first != power(AIME, 5, LEVELS, Draw(40, seed=4))


def test_the_figure_of_performance_does_not_matter_only_its_loss():
    other = replace(THROUGHPUT, baseline=3.5, bound=3.4)
    assert power(THROUGHPUT, 5, LEVELS, Draw(40)) == power(other, 5, LEVELS, Draw(40))


def test_a_share_that_was_never_seen_has_a_bound():
    assert Power(0, 0, 0, 0, 300).most_fails == 0.01
    assert Power(0.2, 0, 0, 0, 300).most_fails == 0.2


@pytest.mark.parametrize(
    ("check", "least", "most"),
    [
        (AIME, 15, 25),
        (replace(AIME, passes=16), 3, 7),
        (PlannedCheck("accuracy", 95, None, 1319), 1, 2),
        (THROUGHPUT, 5, 7),
        (replace(THROUGHPUT, noise=0.5), 1.5, 2.5),
    ],
)
def test_the_smallest_drop_that_one_night_shows(check, least, most):
    assert least <= smallest_drop(check, 0.005) <= most


def test_a_model_that_is_rarely_right_can_lose_nothing_that_shows():
    assert smallest_drop(PlannedCheck("accuracy", 3, None, 30), 0.005) is None


@pytest.mark.parametrize(
    ("check", "available", "items", "passes"),
    [
        (GSM8K, 1319, 200, 1),
        (replace(GSM8K, items=32), 1319, 128, 1),
        (AIME, 30, 30, 16),
        # Passes also tell the judge the noise of a run.
        (replace(THROUGHPUT, noise=3), 0, 0, 4),
    ],
)
def test_the_items_or_passes_that_find_five_points(check, available, items, passes):
    seeing = that_sees(check, 5, LEVELS, available, Draw(60))
    assert (seeing.items, seeing.passes) == (items, passes)


def test_a_model_that_cannot_lose_five_points():
    assert that_sees(PlannedCheck("accuracy", 4, None, 30), 5, LEVELS, 30, Draw(10)) is None


def test_a_month_is_the_sum_of_its_checks():
    checks = [THROUGHPUT] * 100 + [AIME] * 50
    month = by_bands(list(map(MonthlyCheck, checks)))
    each = [by_bands([MonthlyCheck(check)]).false_alarms for check in (THROUGHPUT, AIME)]
    assert month.false_alarms == pytest.approx(100 * each[0] + 50 * each[1])
    assert month.red_nights == pytest.approx(
        1 - (1 - each[0] / 30) ** 100 * (1 - each[1] / 30) ** 50
    )
    assert month.found[10.0] > 0.7


def test_a_check_without_a_band_never_fails():
    month = by_bands([MonthlyCheck(PlannedCheck("performance", 1))])
    assert (month.false_alarms, month.red_nights, month.found[10.0]) == (0, 0, 0)


def test_a_month_of_the_judge_keeps_the_budget_once_noise_is_known():
    checks = [THROUGHPUT] * 60 + [replace(THROUGHPUT, baseline=7.0)] * 60 + [GSM8K] * 60
    seen = []
    levels = levels_for(len(checks))
    judged = [MonthlyCheck(check, 30, levels, control=True) for check in checks]
    month = by_judge(judged, known_noise=True, on_progress=lambda *done: seen.append(done))
    assert month.false_alarms <= 1
    assert month.runs <= 0.7 * len(checks)
    # All figures of performance are one kind.
    assert seen == [(1, 2), (2, 2)]
