"""Centre and spread of nights, on the scale of their metric."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from ci.judge.level import LevelHistory
from ci.judge.measured import Measured, RunNoise
from ci.judge.scale import Scale
from ci.judge.spread import step_of, without_accidents

THROUGHPUT = Scale("performance")
LATENCY = Scale("performance", lower_is_better=True)
POINTS = Scale("accuracy")


def nights(*values: float, host: str = "") -> list[Measured]:
    return [Measured(value, host=host) for value in values]


@pytest.mark.parametrize("scale", [THROUGHPUT, LATENCY, POINTS])
def test_a_figure_comes_back_from_its_scale(scale):
    assert scale.value(scale.place(42.5)) == pytest.approx(42.5)


@pytest.mark.parametrize(
    ("scale", "better", "worse"),
    [(THROUGHPUT, 1010, 990), (LATENCY, 990, 1010), (POINTS, 95.5, 94.0)],
)
def test_more_is_better_on_every_scale(scale, better, worse):
    assert scale.place(better) > scale.place(worse)


def test_the_probability_is_that_of_the_prediction_of_one_more_night():
    values = [1000, 1010, 990, 1020, 985]
    logs = 100 * np.log(values)
    tonight = 960.0
    t = (100 * math.log(tonight) - logs.mean()) / (logs.std(ddof=1) * math.sqrt(1 + 1 / 5))
    history = LevelHistory(nights(*values), THROUGHPUT)
    assert history.p_low(nights(tonight)) == pytest.approx(float(stats.t.cdf(t, 4)))
    assert history.lowest(0.005, "") == pytest.approx(
        history.centre("")
        * math.exp(stats.t.ppf(0.005, 4) * logs.std(ddof=1) * math.sqrt(1.2) / 100)
    )


def test_a_slow_night_widens_nothing():
    quiet = [1000.0, 1002, 998, 1001, 999, 1003, 997, 1000]
    history = LevelHistory(nights(*quiet, 700), THROUGHPUT)
    assert history.centre("") == pytest.approx(1000, rel=1e-3)
    assert history.p_low(nights(985)) < 0.001


def test_every_host_has_a_level_of_its_own_and_all_one_spread():
    past = nights(1001, 1003, 999, 1002, host="a") + nights(976, 974, 977, host="b")
    history = LevelHistory(past, THROUGHPUT)
    assert history.p_low(nights(975, host="b")) > 0.2
    assert history.p_low(nights(975, host="a")) < 0.001
    # A new host may be anywhere near the others.
    assert history.p_low(nights(960, host="c")) > 0.05


def test_figures_that_never_differ_have_a_spread_all_the_same():
    history = LevelHistory(nights(*[1000.0] * 10), THROUGHPUT)
    assert history.p_low(nights(999)) > 0.05
    assert history.p_low(nights(990)) > 0.01
    assert history.p_low(nights(970)) < 0.001


def test_figures_in_steps_are_believed_to_half_a_step():
    history = LevelHistory(nights(*[1000.0] * 9, 1010), THROUGHPUT)
    flat = LevelHistory(nights(*[1000.0, 1000.1] * 5), THROUGHPUT)
    assert step_of(np.array([1000.0] * 9 + [1010])) == pytest.approx(10)
    assert history.p_low(nights(990)) > 0.001 > flat.p_low(nights(990))


def test_only_the_noise_of_a_run_becomes_smaller_by_repeating():
    past = nights(1000, 1020, 980, 1015, 985, 1010, 990)
    one, three = nights(970), nights(970, 970, 970)
    unknown = LevelHistory(past, THROUGHPUT)
    assert unknown.p_low(three) == pytest.approx(unknown.p_low(one))
    known = LevelHistory(past, THROUGHPUT, RunNoise(1.0, 20))
    assert known.p_low(three) < known.p_low(one)
    all_of_it = LevelHistory(past, THROUGHPUT, RunNoise(99.0, 20))
    assert all_of_it.p_low(three) < known.p_low(three)


def test_one_night_is_no_spread():
    with pytest.raises(ValueError, match="two nights"):
        LevelHistory(nights(1000), THROUGHPUT)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        ([1, 2, 3, 100], [True] * 4),  # too few to tell
        ([1, 2, 3, 2, 1, 100], [True] * 5 + [False]),
        ([5] * 6 + [6], [True] * 6 + [False]),
    ],
)
def test_accidents_are_far_from_the_others(values, counts):
    assert without_accidents(np.array(values, dtype=float)).tolist() == counts


@pytest.mark.parametrize("slow", [800, 890])
@pytest.mark.parametrize("count", [4, 5])
def test_a_slow_night_among_the_first_ones_widens_nothing(count, slow):
    past = [slow, 1000, 1003, 998, 1001][:count]
    history = LevelHistory(nights(*past), THROUGHPUT)
    assert history.centre("") == pytest.approx(1000, rel=2e-3)
    assert history.p_low(nights(900)) < 0.005


@pytest.mark.parametrize(
    "values", [(960, 1000, 1003, 998, 1001), (800, 1000, 900), (950, 1050) * 2]
)
def test_a_few_nights_that_differ_as_noise_does_all_count(values):
    assert without_accidents(100 * np.log(np.array(values)), 0.15, 10.0).all()
