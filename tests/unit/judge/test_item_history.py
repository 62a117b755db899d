"""The distribution of tonight's answers, against sums done by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from ci.judge.items import ItemHistory
from ci.judge.measured import ItemCounts

IDS = tuple("abcdefgh")


def night(*correct: int, passes: int = 1) -> ItemCounts:
    return ItemCounts(IDS[: len(correct)], np.array(correct, dtype=np.int64), passes)


def nights(rows: str) -> list[ItemCounts]:
    return [night(*map(int, row)) for row in rows.split()]


def test_the_sum_is_that_of_independent_beta_binomial_items():
    history = ItemHistory(nights("111000 111001 110001 111000"))
    a, b = history.prior
    chances = [
        stats.betabinom.pmf([0, 1], 1, a + right, b + 4 - right) for right in (4, 4, 3, 0, 0, 2)
    ]
    expected = np.zeros(7)
    for answers in itertools.product((0, 1), repeat=6):
        expected[sum(answers)] += np.prod(
            [each[x] for each, x in zip(chances, answers, strict=True)]
        )
    assert history.distribution(1) == pytest.approx(expected, abs=1e-12)


def test_the_sum_of_several_passes_is_a_distribution_with_the_right_mean():
    history = ItemHistory([night(3, 1, 0, 4, passes=4), night(4, 2, 0, 4, passes=4)])
    distribution = history.distribution(8)
    assert len(distribution) == 4 * 8 + 1
    assert distribution.sum() == pytest.approx(1)
    a, b = history.prior
    means = [8 * (a + right) / (a + b + 8) for right in (7, 3, 0, 8)]
    assert distribution @ np.arange(33) == pytest.approx(sum(means))


@pytest.mark.parametrize(
    ("tonight", "low"),
    [
        ("11111111", False),
        ("11111110", False),
        ("11110000", True),  # four items that were never wrong
        ("00000000", True),
    ],
)
def test_items_that_were_always_right_tell_at_once(tonight, low):
    history = ItemHistory(nights(" ".join(["11111111"] * 6 + ["11111110"] * 4)))
    assert (history.p_low(nights(tonight)) < 0.005) is low


def test_items_that_come_and_go_tell_nothing():
    rows = ["10101010", "01010101", "11001100", "00110011", "10011001", "01100110"]
    assert ItemHistory(nights(" ".join(rows))).p_low(nights("00001010")) > 0.05


def test_a_shift_of_whole_nights_counts_where_the_nights_show_it():
    steady = [1] * 40
    rows = [steady[:] for _ in range(8)]
    for index, lost in enumerate((0, 12, 1, 11, 0, 12, 2, 10)):
        rows[index][:lost] = [0] * lost
    ids = tuple(map(str, range(40)))
    history = ItemHistory([ItemCounts(ids, np.array(row, dtype=np.int64)) for row in rows])
    assert history.varies_more
    tonight = ItemCounts(ids, np.array([0] * 13 + [1] * 27, dtype=np.int64))
    by_items = float(history.distribution(1)[:28].sum())
    assert by_items < history.p_low([tonight])


def test_the_lowest_accuracy_is_where_the_probability_is_reached():
    history = ItemHistory(nights("11111110 11111100 11111111 11111010"))
    lowest = history.lowest(0.05)
    right = round(lowest * 8 / 100)
    reached = np.cumsum(history.distribution(1))
    assert reached[right] >= 0.05
    assert right == 0 or reached[right - 1] < 0.05


@pytest.mark.parametrize(
    "rows",
    [[], [night(1, 0), night(1, 0, 1)], [night(1, 0), night(1, 0, passes=2)]],
    ids=["none", "other items", "other passes"],
)
def test_nights_that_are_not_comparable_are_refused(rows):
    with pytest.raises(ValueError, match=r"night"):
        ItemHistory(rows)
