"""Test change points: the night of a step, healthy series, accidents, hosts, and what counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from past_figures import SPEED, TONIGHT

from ci.judge.change_points import change_points, series_of

pytest.importorskip("otava")

START = datetime(2026, 1, 1, tzinfo=UTC)
LATENCY = replace(SPEED, metric="ttft_p50", unit="ms")
SCORE = replace(TONIGHT, items=None, n=1000, n_items=1000)


def series(values, of=SPEED, **changes):
    return tuple(
        replace(
            of,
            value=float(value),
            run=f"r{night:03}",
            started_at=(START + timedelta(days=night)).isoformat(timespec="milliseconds"),
            **changes,
        )
        for night, value in enumerate(values)
    )


def noisy(seed, nights=40, *, step=0.0, at=20, noise=1.5):
    """Return throughputs whose noise and step are in percent."""
    places = np.random.default_rng(seed).normal(0, noise, nights)
    places[at:] += step
    return 1000 * np.exp(places / 100)


@pytest.mark.parametrize("at", [10, 20, 30])
def test_a_step_is_found_at_its_night(at):
    nights_off = []
    for seed in range(30):
        (point,) = change_points(series(noisy(seed, step=-5, at=at)))
        nights_off.append(abs(int(point.after.run[1:]) - at))
        assert point.before.run == f"r{int(point.after.run[1:]) - 1:03}"
        assert (point.better, -8 < point.change < -2, point.p < 1e-4) == (False, True, True)
    assert sum(off <= 1 for off in nights_off) >= 28
    assert nights_off.count(0) >= 20


@pytest.mark.parametrize("nights", [6, 10, 40, 150])
def test_a_healthy_series_has_none(nights):
    found = [change_points(series(noisy(seed, nights))) for seed in range(40)]
    assert found == [()] * 40


def test_up_and_down_again_are_two():
    values = noisy(3, 60, step=6, at=20) * np.where(np.arange(60) < 40, 1, np.exp(-0.06))
    first, second = change_points(series(values))
    assert (first.after.run, first.better) == ("r020", True)
    assert (second.after.run, second.better) == ("r040", False)
    assert first.new == pytest.approx(second.old)


@pytest.mark.parametrize("at", [(7,), (7, 8), (0,), (39,), (38, 39)])
def test_slow_nights_among_others_are_no_level(at):
    values = noisy(5)
    values[list(at)] *= 0.8
    assert change_points(series(values)) == ()


def test_a_latency_that_grows_is_worse():
    (point,) = change_points(series(noisy(1, step=10), LATENCY))
    assert (point.better, point.after.run) == (False, "r020")
    assert point.change == pytest.approx(10, abs=2)


def test_a_score_changes_by_points():
    scores = np.random.default_rng(2).normal(80, 1, 40)
    scores[25:] -= 4
    (point,) = change_points(series(scores, SCORE))
    assert point.after.run == "r025"
    assert point.change == pytest.approx(-4, abs=1)
    assert point.change == pytest.approx(point.new - point.old)


@pytest.mark.parametrize(("of", "size"), [(SPEED, 0.998), (SCORE, 0.999)])
def test_a_step_that_is_too_small_to_matter_is_none(of, size):
    values = 90 + np.random.default_rng(4).normal(0, 0.001, 40)
    values[20:] *= size
    assert change_points(series(values, of)) == ()


def test_each_group_of_hosts_has_its_own_series():
    """A change of the host is no step, and what alternates is not one series."""
    nights = list(series(noisy(6)))
    for number in range(0, 40, 2):
        nights[number] = replace(nights[number], host="b", value=0.9 * nights[number].value)
    first, second = series_of(nights, {})
    assert ({each.host for each in first}, {each.host for each in second}) == ({"b"}, {"a"})
    assert len(first) == len(second) == 20
    assert (change_points(first), change_points(second)) == ((), ())


FIGURES = series(noisy(7, 12))
OTHERS = {
    "rejected": (FIGURES, {"r003": "the fan"}, 11),
    "void": ((*FIGURES[:-1], replace(FIGURES[-1], problems=("void: x",))), {}, 11),
    "of other settings": (
        (*FIGURES[:4], *(replace(each, questions="q2") for each in FIGURES[4:])),
        {},
        8,
    ),
    "measured again": (
        (*FIGURES, replace(FIGURES[-1], repeat=1, started_at="2026-01-12T01:00:00.000Z")),
        {},
        12,
    ),
    "of another version": ((*FIGURES[:6], *series(noisy(7, 12), vllm="0.33")[6:]), {}, 12),
    "failed": (tuple(replace(each, outcome="fail") for each in FIGURES), {}, 12),
}


@pytest.mark.parametrize("name", OTHERS)
def test_which_nights_are_in_a_series(name):
    figures, rejected, expected = OTHERS[name]
    (found,) = series_of(figures, rejected)
    assert len(found) == expected
    assert len({each.run for each in found}) == expected


@pytest.mark.parametrize("figures", [(), FIGURES[:5]])
def test_a_short_series_is_none(figures):
    assert series_of(figures, {}) == ()
