"""The interval of a ratio of two benchmarks: from past nights, from repeated runs, or none yet."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from ci.case.model import Comparison
from ci.judge.compared import RatioNoise, Side, ratio_noise, with_interval
from ci.judge.past import Conditions, PastFigure
from ci.judge.verdict import Check, compare
from ci.tools.model import Measurement, Result

WARM = PastFigure(
    run="tonight", case="c", benchmark="warm", metric="ttft_mean", value=55.0, unit="ms", n=64,
    started_at="2026-11-20", host="a", conditions=Conditions(),
)  # fmt: skip
COLD = replace(WARM, benchmark="cold", value=100.0)
PAIR = Comparison(metric="ttft_mean", target="warm", baseline="cold", ratio=0.5, operator="<")
RATIOS = (0.50, 0.52, 0.49, 0.51, 0.48, 0.53)


def past(like: PastFigure, values, **changes) -> tuple[PastFigure, ...]:
    return tuple(
        replace(like, run=f"r{day}", value=value, started_at=f"2026-10-{day:02}", **changes)
        for day, value in enumerate(values, 1)
    )


def sides(ratios, target: float = 55.0, baseline: float = 100.0) -> tuple[Side, Side]:
    """Return nights whose levels differ, and whose ratio is what counts."""
    levels = [100 * 1.2**at for at in range(len(ratios))]
    both = [ratio * level for ratio, level in zip(ratios, levels, strict=True)]
    warm = Side((replace(WARM, value=target),), past(WARM, both))
    return warm, Side((replace(COLD, value=baseline),), past(COLD, levels))


def check(target: float = 55.0, baseline: float = 100.0, pair: Comparison = PAIR) -> Check:
    results = {
        name: Result((Measurement(name, "ttft_mean", value, "ms", 64, None, ""),))
        for name, value in (("warm", target), ("cold", baseline))
    }
    return compare(pair, results)


def test_past_ratios_of_the_pair_tell_its_noise():
    noise = ratio_noise(*sides(RATIOS), {})
    logs = 100 * np.log(RATIOS)
    assert noise == RatioNoise(
        pytest.approx(float(logs.std(ddof=1))), 5, "6 nights with both figures"
    )
    judged = with_interval(check(), PAIR, noise)
    half = float(stats.t.ppf(0.975, 5)) * float(logs.std(ddof=1)) / 100
    ends = [55 * math.exp(sign * half) for sign in (-1, 1)]
    assert judged.interval == (pytest.approx(ends[0]), pytest.approx(ends[1]))
    assert judged.seen == "6 nights with both figures"


@pytest.mark.parametrize(
    ("target", "operator", "ratio", "outcome", "reason"),
    [
        (49.0, "<", 0.5, "pass", ""),
        (52.0, "<", 0.5, "unknown", "cannot tell: 0.52 × cold, 0.47"),
        (70.0, "<", 0.5, "fail", "70 is not < 50: 0.7 × cold, 0.63"),
        (48.0, ">", 0.5, "unknown", "cannot tell: 0.48 × cold, 0.4"),
        (30.0, ">=", 0.5, "fail", "30 is not >= 50: 0.3 × cold, 0.2"),
    ],
)
def test_a_ratio_fails_only_if_its_interval_does(target, operator, ratio, outcome, reason):
    pair = PAIR.model_copy(update={"operator": operator, "ratio": ratio})
    noise = ratio_noise(*sides(RATIOS, target), {})
    judged = with_interval(check(target, pair=pair), pair, noise)
    assert (judged.outcome, judged.reason[: len(reason)]) == (outcome, reason)
    assert judged.interval[0] < target < judged.interval[1]
    if outcome == "unknown":
        assert judged.reason.endswith(f"in 95 of 100 such nights, asked for {operator} 0.5")


@pytest.mark.parametrize("nights", [0, 3])
def test_without_known_noise_it_is_as_before_and_says_so(nights):
    noise = ratio_noise(*sides(RATIOS[:nights]), {})
    assert noise == RatioNoise(None, 0, f"{nights} of 4 nights with both figures")
    failed = with_interval(check(52.0), PAIR, noise)
    assert (failed.outcome, failed.reason) == ("fail", "52 is not < 50; no interval yet")
    assert (failed.interval, failed.seen) == (None, f"{nights} of 4 nights with both figures")
    passed = with_interval(check(49.0), PAIR, noise)
    assert (passed.outcome, passed.reason) == ("pass", "")


def test_repeated_runs_of_both_tell_the_noise_where_nights_do_not():
    values = {"warm": (55.0, 56.0, 54.0, 55.5), "cold": (100.0, 101.0, 99.0, 100.5)}
    runs = [
        tuple(replace(like, value=value, repeat=at) for at, value in enumerate(values[name]))
        for name, like in (("warm", WARM), ("cold", COLD))
    ]
    noise = ratio_noise(Side(runs[0]), Side(runs[1]), {})
    variances = [np.var(100 * np.log(each), ddof=1) for each in values.values()]
    assert noise.sd == pytest.approx(math.sqrt(2 * np.mean(variances)))
    assert (noise.df, noise.source) == (6, "repeated runs of both figures")
    assert with_interval(check(50.5), PAIR, noise).outcome == "unknown"
    assert with_interval(check(60.0), PAIR, noise).outcome == "fail"


def test_nights_that_do_not_count_tell_no_noise():
    warm, cold = sides(RATIOS)
    broken = replace(warm, past=tuple(replace(each, failed=1) for each in warm.past[:3]))
    assert ratio_noise(broken, cold, {}).source == "0 of 4 nights with both figures"
    rejected = {"r1": "a broken fan", "r2": "a broken fan", "r3": "a broken fan"}
    assert ratio_noise(warm, cold, rejected).source == "3 of 4 nights with both figures"


def test_one_far_ratio_widens_little():
    usual = ratio_noise(*sides((*RATIOS, 0.5)), {})
    far = ratio_noise(*sides((*RATIOS, 2.0)), {})
    assert (usual.df, far.df) == (6, 6)
    assert usual.sd < far.sd < 3 * usual.sd


def test_ratios_of_healthy_nights_hardly_ever_fail():
    """A bound at the true ratio is violated every second night, and fails one of forty."""
    random, failed = np.random.default_rng(3), 0
    for _ in range(1000):
        ratios = 0.5 * np.exp(random.normal(0, 0.04, 9))
        noise = ratio_noise(*sides(tuple(ratios[1:])), {})
        judged = with_interval(check(float(100 * ratios[0])), PAIR, noise)
        failed += judged.outcome == "fail"
    assert 0.01 < failed / 1000 < 0.045
