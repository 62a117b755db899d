"""By which levels a figure is judged: of how many checks, and with what known of noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
from past_figures import SPEED, TONIGHT
from past_figures import past as night_before
from stored_runs import evaluation, run_of, throughput

from ci.history.subject import Known
from ci.judge.baseline import Ledger

PERF = replace(SPEED, value=100.0)


def run_with(benchmarks=1, *, control="none", startup=()):
    entries = [evaluation(9, name=f"b{index}") for index in range(benchmarks - 1)]
    return run_of(
        9,
        *entries,
        throughput(9),
        judge={"control": control, "nights_a_month": 100},
        startup_metrics={key: {} for key in startup},
    )


def level(tonight, past, run):
    return Known(Ledger("c"), {tonight.check: past}).subject(tonight, run).levels.fail


def speeds(times=1):
    """Return eight nights of a speed, each measured so many times."""
    return tuple(
        night_before(day, PERF, value=100.0 + day / 10 + time / 20, repeat=time, started_at=at)
        for day in range(1, 9)
        for time in range(times)
        if (at := f"2026-01-0{day}T0{time}:00:00.000Z")
    )


@pytest.mark.parametrize(
    ("tonight", "past", "known"),
    [
        (PERF, (), False),
        (PERF, speeds(), False),
        (PERF, speeds(2), True),
        (TONIGHT, (), False),  # a written baseline
        (TONIGHT, (night_before(1),), True),
    ],
    ids=["first night", "nights", "repeated runs", "first score", "items"],
)
def test_a_control_makes_levels_lenient_only_where_the_noise_is_known(tonight, past, known):
    both = level(tonight, past, run_with(20, control="last-good"))
    alone = level(tonight, past, run_with(20))
    assert alone == pytest.approx(1 / 2000)
    assert both == pytest.approx(0.005 if known else 1 / 2000, rel=0.3)


def test_the_figures_of_a_start_are_one_check_more():
    without, with_start = run_with(3), run_with(3, startup=("startup_weights_s", "startup_api_s"))
    assert level(PERF, (), without) == pytest.approx(1 / 300)
    assert level(PERF, (), with_start) == pytest.approx(1 / 400)
