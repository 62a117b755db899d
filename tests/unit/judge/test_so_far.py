"""Test how sure a figure is before the night is judged."""

from __future__ import annotations

import pytest

from ci.judge.asked import Asked
from ci.judge.so_far import mean_interval, share_interval, so_far

ACC = Asked("acc", "accuracy", "accuracy", (45.0, 15.0))
SPEED = Asked("perf", "output_token_throughput", expected=(100.0, 0.9))
LATENCY = Asked("perf", "ttft_p99", expected=(90.0, 0.9))


# The values of the tables of C. J. Clopper and E. S. Pearson, as R's binom.test has them.
@pytest.mark.parametrize(
    ("right", "n", "expected"),
    [
        (0, 10, (0.0, 0.3084971)),
        (10, 10, (0.6915029, 1.0)),
        (17, 40, (0.2704290, 0.5910994)),
    ],
)
def test_the_interval_of_a_share_is_exact(right, n, expected):
    assert share_interval(right, n, 0.95) == pytest.approx(expected, abs=1e-6)


def test_the_interval_of_a_mean_is_that_of_student():
    # 12.706 is the quantile of one degree of freedom, and the standard error is 1.
    assert mean_interval((9.0, 11.0), 0.95) == pytest.approx((10 - 12.706, 10 + 12.706), abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "values", "items", "standing"),
    [
        (ACC, [80.0], 40, "met"),
        (ACC, [42.5], 40, "met so far"),
        (ACC, [30.0], 40, "met so far"),
        (ACC, [25.0], 40, "missed so far"),
        (ACC, [0.0], 40, "missed"),
        # Without a number of items nothing is sure, nor from one measurement of speed.
        (ACC, [80.0], 0, "met so far"),
        (SPEED, [120.0], 24, "met so far"),
        (SPEED, [120.0, 121.0, 122.0], 24, "met"),
        (SPEED, [80.0, 120.0], 24, "met so far"),
        (SPEED, [60.0, 61.0, 60.0], 24, "missed"),
        (LATENCY, [100.0], 24, "met so far"),
        (LATENCY, [101.0], 24, "missed so far"),
        (LATENCY, [50.0, 51.0, 50.0], 24, "met"),
        (LATENCY, [150.0, 151.0, 150.0], 24, "missed"),
        (Asked("perf", "ttft_p99"), [100.0], 24, ""),
    ],
)
def test_a_figure_stands_by_its_bound(asked, values, items, standing):
    assert so_far(asked, values, items).standing == standing


def test_passes_of_the_same_items_tell_no_more_of_other_items():
    one, three = so_far(ACC, [42.5], 40), so_far(ACC, [42.5, 42.5, 42.5], 40)
    assert one == three
