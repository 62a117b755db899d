"""Test a figure that is lost little by little: what is found, what is not, and what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from past_figures import SPEED, TONIGHT

from ci.judge.against import scale_of
from ci.judge.baseline import Accepted, Holding
from ci.judge.creep import creeping
from ci.judge.evidence import Subject, examine

START = datetime(2026, 1, 1, tzinfo=UTC)
LATENCY = replace(SPEED, metric="ttft_p50", unit="ms")
SCORE = replace(TONIGHT, items=None, n=1000, n_items=1000)


def figures(values, of=SPEED, **changes):
    return [
        replace(
            of,
            value=float(value),
            run=f"r{night:03}",
            started_at=(START + timedelta(days=night)).isoformat(timespec="milliseconds"),
            outcome="pass",
            **changes,
        )
        for night, value in enumerate(values)
    ]


def falling(seed, nights=19, *, a_night=-0.4, noise=1.0):
    """Return throughputs that change by so many percent a night."""
    places = np.random.default_rng(seed).normal(0, noise, nights) + a_night * np.arange(nights)
    return 1000 * np.exp(places / 100)


def found(nights, accepted=None):
    *before, tonight = nights
    return creeping(tonight, before, accepted, scale_of(tonight))


def test_a_steady_loss_is_found_and_told_in_numbers():
    text = found(figures(falling(1)))
    assert text.startswith("creeping: -0.4")
    assert " % a night over 19 nights, " in text
    assert " since r000 (p = " in text
    assert text.endswith("accept this level, or look for what changed")


@pytest.mark.parametrize("seed", range(10))
def test_the_first_twenty_nights_guard_each_other(seed):
    nights = falling(seed, 20)
    assert found(figures(nights))
    assert not found(figures(nights[::-1]))  # a gain


def test_a_latency_that_grows_creeps():
    assert found(figures(falling(2, a_night=0.5), LATENCY)).startswith("creeping: +0.")
    assert not found(figures(falling(2, a_night=-0.5), LATENCY))


def test_a_score_creeps_by_points():
    scores = 80 - 0.3 * np.arange(15) + np.random.default_rng(3).normal(0, 0.4, 15)
    assert " points a night over 15 nights, " in found(figures(scores, SCORE))


def late(values, since):
    """Return an entry of the ledger that was accepted with the nights before one."""
    runs = tuple(each.run for each in figures(values)[:since])
    return Accepted("perf", "output_token_throughput", 1000, "tok/s", runs=runs)


NOT = {
    "few nights": falling(1, 9, a_night=-1.0),
    "little is lost": falling(1, a_night=-0.1, noise=0.1),
    "it has come back": [*falling(1), 1000.0],
    "a single slow night": [*falling(1, a_night=0), 900.0],
    "without an order": falling(1, a_night=0, noise=3),
}


@pytest.mark.parametrize("name", NOT)
def test_what_is_no_creep(name):
    assert not found(figures(NOT[name]))


def test_nights_of_other_hosts_are_no_part_of_it():
    nights = figures(falling(1))
    assert found(nights)
    other = [replace(each, host="b") for each in nights[:-8]]
    assert not found([*other, *nights[-8:]])


def test_what_was_accepted_is_no_creep_and_what_comes_after_is():
    down = falling(4, 40)
    assert found(figures(down[:20]))
    assert not found(figures(down[:20]), late(down, 12))
    assert found(figures(down), late(down, 12))
    stopped = [*down[:12], *falling(5, 12, a_night=0) * down[11] / 1000]
    assert not found(figures(stopped), late(stopped, 12))


def test_healthy_figures_hardly_ever_creep():
    """Each night of each series is looked at with those before it."""
    looks = [
        found(figures(falling(seed, nights, a_night=0, noise=1.5)))
        for seed in range(60)
        for nights in (10, 14, 18, 21)
    ]
    assert not any(looks)


def outcome(nights, holding=None):
    *before, tonight = nights
    subject = Subject(tonight, tuple(before), holding or Holding(None))
    examining = examine(subject)
    try:
        next(examining)
        while True:
            examining.send(None)
    except StopIteration as ended:
        return ended.value


def test_a_check_that_would_pass_is_unknown():
    values = falling(1, noise=0.4, a_night=-0.2)
    values[-1] *= 1.008  # not low against the mean of all
    nights = figures(values)
    evidence = outcome(nights)
    assert (evidence.ruling.outcome, evidence.ruling.finding) == ("unknown", "creeping")
    assert evidence.doubt.startswith("creeping: -0.2")
    accepted = late(falling(1), 18)
    assert outcome(nights, Holding(1000.0, accepted=accepted)).ruling.finding != "creeping"


@pytest.mark.parametrize(
    ("metric", "unit", "values", "told"),
    [
        ("ttft_p50", "ms", [100 * 1.006**night for night in range(15)], "+0.6 % a night"),
        ("prefix_cache_hit_rate", "%", [80 - 0.3 * night for night in range(15)], "-0.3 points a"),
        ("kv_cache_usage_max", "%", [50 + 0.3 * night for night in range(15)], "+0.3 points a"),
        ("server_preemptions", "requests", [9.0 * night for night in range(15)], " requests a"),
    ],
)
def test_a_loss_is_told_in_the_unit_and_the_direction_of_its_figure(metric, unit, values, told):
    text = found(figures(values, replace(SPEED, metric=metric, unit=unit)))
    assert text.startswith("creeping: ")
    assert told in text
