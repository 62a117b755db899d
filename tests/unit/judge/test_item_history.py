"""The distribution of tonight's answers, against sums done by hand and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from ci.judge.items import ItemHistory
from ci.judge.measured import ItemCounts

IDS = tuple("abcdefgh")


def night(*correct: int, passes: int = 1, ids=IDS) -> ItemCounts:
    return ItemCounts(
        tuple(map(str, ids))[: len(correct)], np.array(correct, dtype=np.int64), passes
    )


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


@pytest.mark.parametrize(
    ("before", "tonight"),
    [
        ("111110100110", "000011000110"),
        ("111111111111", "000000001111"),
        ("110000", "001100"),
        ("1111", "1111"),
    ],
)
def test_one_night_and_one_run_are_mcnemars_exact_test(before, tonight):
    past, now = (night(*map(int, each), ids=range(len(each))) for each in (before, tonight))
    pairs = list(zip(before, tonight, strict=True))
    lost, won = pairs.count(("1", "0")), pairs.count(("0", "1"))
    exact = float(stats.binom.cdf(won, lost + won, 0.5))
    history = ItemHistory([past])
    assert history.p_low([now]) == pytest.approx(
        max(exact, history.distribution(1)[: now.correct.sum() + 1].sum())
    )


def test_the_exact_test_is_that_of_all_ways_to_order_the_answers():
    before, tonight = nights("1110 1100"), nights("0110 0000")
    answers = np.array([each.correct for each in (*before, *tonight)])
    orders = [
        sum(answers[list(chosen), item].sum() for item, chosen in enumerate(each))
        for each in itertools.product(itertools.combinations(range(4), 2), repeat=4)
    ]
    exact = np.mean(np.array(orders) <= 2)
    history = ItemHistory(before)
    assert history.p_low(tonight) == pytest.approx(max(exact, history.distribution(2)[:3].sum()))


@pytest.mark.parametrize("within", [0.1, 0.4, 0.9])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_nights_seldom_call_a_healthy_one_low(within, count):
    """Whatever share of the variance is of answers: it cannot be told from so few nights."""
    random = np.random.default_rng(5)
    right = random.beta(0.95 * (1 / (1 - within) - 1), 0.05 * (1 / (1 - within) - 1), 200)

    def drawn():
        return night(*(random.random(200) < right).astype(int), ids=range(200))

    low = 0
    for _ in range(300):
        history = ItemHistory([drawn() for _ in range(count)])
        low += history.p_low([drawn()]) < 0.02
    assert low <= 14  # 6 are expected at most; more than 14 in 0.1 % of such draws


def test_the_bound_of_few_nights_is_what_a_night_could_have_shown():
    history = ItemHistory([night(*([1] * 40), ids=range(40))])
    for wrong in (7, 8):
        p = history.p_low([night(*([1] * (40 - wrong) + [0] * wrong), ids=range(40))])
        assert (p < 0.005) is (100 * (40 - wrong) / 40 < history.lowest(0.005))
