"""Levels from the accepted number of false alarms a month."""

from __future__ import annotations

import pytest

from ci.judge.decide import Levels
from ci.judge.levels import levels_for, most_false_alarms


@pytest.mark.parametrize(
    ("night", "suspect", "fail"),
    [
        # A single check, and a few, are judged by the defaults.
        ((1, 30, 1), 0.08, 0.005),
        ((83, 30, 1), 0.08, 0.005),
        ((1, 30, 100), 0.08, 0.005),
        # Then `fail` pays.
        ((84, 30, 1), 0.08, 1 / (84 * 30 * 0.08)),
        ((180, 30, 1), 0.08, 1 / (180 * 30 * 0.08)),
        ((180, 30, 2), 0.08, 2 / (180 * 30 * 0.08)),
        ((180, 20, 0.5), 0.08, 0.5 / (180 * 20 * 0.08)),
        ((833, 30, 1), 0.08, 1 / (833 * 30 * 0.08)),
        # Then `suspect` does.
        ((1000, 30, 1), 1 / (1000 * 30 * 0.0005), 0.0005),
        ((6666, 30, 1), 1 / (6666 * 30 * 0.0005), 0.0005),
        # More cannot be had.
        ((100_000, 30, 1), 0.01, 0.0005),
    ],
)
def test_levels(night, suspect, fail):
    assert levels_for(*night) == Levels(suspect=pytest.approx(suspect), fail=pytest.approx(fail))


@pytest.mark.parametrize(("checks", "fail"), [(1, 0.005), (20, 1 / 600), (180, 0.0005)])
def test_where_both_stages_err_together_the_second_alone_keeps_the_budget(checks, fail):
    levels = levels_for(checks, independent=False)
    assert levels == Levels(suspect=0.08, fail=pytest.approx(fail))


@pytest.mark.parametrize("checks", [1, 10, 100, 1000, 6000])
@pytest.mark.parametrize("false_alarms", [0.2, 1, 5])
def test_the_budget_is_kept_where_it_can_be(checks, false_alarms):
    levels = levels_for(checks, 30, false_alarms)
    kept = most_false_alarms(levels, checks) <= false_alarms * (1 + 1e-9)
    assert kept or (levels.suspect, levels.fail) == (0.01, 0.0005)


@pytest.mark.parametrize(("checks", "nights", "false_alarms"), [(0, 30, 1), (1, 0, 1), (1, 30, 0)])
def test_numbers_that_make_no_sense(checks, nights, false_alarms):
    with pytest.raises(ValueError, match="expected at least one"):
        levels_for(checks, nights, false_alarms)
