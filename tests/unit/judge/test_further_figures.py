"""Figures besides the main one of a benchmark: latencies, goodput, counts, shares, and starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ci.case.known_metrics import KNOWN
from ci.case.metric_entry import MetricEntry
from ci.judge.against import written_of
from ci.judge.asked import Asked, bound_of
from ci.judge.baseline import Holding, agree
from ci.judge.comparable import broken
from ci.judge.decide import Levels, look
from ci.judge.evidence import Subject, examine
from ci.judge.expected import Past, expected_of
from ci.judge.level import LevelHistory
from ci.judge.measured import Ask, Measured
from ci.judge.past import Conditions, PastFigure
from ci.judge.scale import Scale
from ci.judge.sentence import with_evidence
from ci.judge.verdict import ABOVE_THE_BAND, NO_BASELINE, check, judge
from ci.tools.model import Measurement, Result

COUNT = Scale("count", lower_is_better=True)
SHARE = Scale("share")
LOAD = Scale("share", lower_is_better=True)


def measured(metric, value, name="perf", unit=None):
    unit = KNOWN[metric].unit if unit is None else unit
    return Result((Measurement(name, metric, value, unit, 64, None, "result.json"),))


@pytest.mark.parametrize(
    ("metric", "expected", "value", "outcome", "reason", "bound"),
    [
        ("ttft_p99", (100, 0.8), 125.0, "pass", "", 125),
        ("ttft_p99", (100, 1.25), 125.0, "pass", "", 125),
        ("ttft_p99", (100, 0.8), 126.0, "fail", "1 ms above the bound", 125),
        ("ttft_p99", (100, 0.8), 74.0, "pass", ABOVE_THE_BAND, 125),
        ("ttft_p99", (100, 0.8), 76.0, "pass", "", 125),
        ("ttft_p99", None, 1e6, "pass", NO_BASELINE, None),
        ("ttft_p99", None, 0.0, "unknown", "ttft_p99 of 0 ms: no token came back", None),
        ("request_throughput", (10, 0.9), 8.9, "fail", "0.1 req/s below the bound", 9),
        ("request_goodput", (10, 0.9), 0.0, "fail", "9 req/s below the bound", 9),
        ("request_goodput", None, 0.0, "pass", NO_BASELINE, None),
        ("server_preemptions", (0, 1), 0.0, "pass", "", 0),
        ("server_preemptions", (0, 1), 1.0, "fail", "1 requests above the bound", 0),
        ("server_preemptions", (4, 0.5), 8.0, "pass", "", 8),
        ("server_preemptions", None, -1.0, "unknown", "server_preemptions of -1 requests", None),
        ("prefix_cache_hit_rate", (75, 0.9), 60.0, "fail", "7.5 pp below the bound", 67.5),
        ("prefix_cache_hit_rate", None, 101.0, "unknown", "outside 0 to 100", None),
        ("kv_cache_usage_max", (50, 0.8), 63.0, "fail", "0.5 pp above the bound", 62.5),
        ("startup_warm_up_s", (10, 0.5), 0.0, "pass", "", 20),
    ],
)
def test_a_figure_is_held_against_its_own_bound(  # noqa: PLR0913, PLR0917 - a row of the table
    metric, expected, value, outcome, reason, bound
):
    judged = check(Asked("perf", metric, expected=expected), measured(metric, value))
    assert (judged.outcome, judged.bound) == (outcome, bound)
    assert reason in judged.reason
    assert bool(judged.reason) is bool(reason)
    assert judged.operator == ("<=" if KNOWN[metric].better == "lower" else ">=")


def test_a_missing_or_void_figure_is_unknown():
    asked = Asked("perf", "ttft_p99", expected=(100, 0.8))
    assert check(asked, None, "no memory").reason == "never reached: no memory"
    assert check(asked, measured("tpot_mean", 1.0)).reason == "no ttft_p99 in its result"
    void = replace(measured("ttft_p99", 200.0), void=("throttled",))
    assert (check(asked, void).outcome, check(asked, void).reason) == ("unknown", "void: throttled")
    wrong = measured("ttft_p99", 0.1, unit="s")
    assert check(asked, wrong).reason == "ttft_p99 has the unit 's', expected 'ms'"


class _Benchmark:
    name, case_type, expected, without_router = "perf", "performance", None, False

    def __init__(self, **metrics):
        self.further = metrics


def test_every_figure_becomes_a_check_and_those_of_the_start_come_last():
    entry = MetricEntry(baseline=100, threshold=0.8)
    results = {
        "perf": Result(
            (
                *measured("output_token_throughput", 9.0).measurements,
                *measured("ttft_p99", 126.0).measurements,
            )
        ),
        "startup": measured("startup_api_s", 3.0, name="startup"),
    }
    startup = {"startup_api_s": MetricEntry(), "startup_compile_s": MetricEntry()}
    verdict = judge((_Benchmark(ttft_p99=entry),), results, startup=startup)
    assert [(each.name, each.metric, each.outcome) for each in verdict.checks] == [
        ("perf", "output_token_throughput", "pass"),
        ("perf", "ttft_p99", "fail"),
        ("startup", "startup_api_s", "pass"),
        ("startup", "startup_compile_s", "unknown"),
    ]
    assert verdict.outcome == "fail"


@pytest.mark.parametrize(
    ("kind", "baseline", "threshold", "lower", "bound"),
    [
        ("accuracy", 90, 3, False, 87),
        ("performance", 100, 0.9, False, 90),
        ("performance", 100, 0.8, True, 125),
        ("performance", 100, 1.25, True, 125),
        ("count", 0, 0.5, True, 0),
    ],
)
def test_a_bound_is_on_the_worse_side(kind, baseline, threshold, lower, bound):
    assert bound_of(kind, baseline, threshold, lower_is_better=lower) == pytest.approx(bound)
    if baseline:
        scale = Scale(kind, lower)
        assert written_of(baseline, threshold, scale).bound == pytest.approx(bound)


@pytest.mark.parametrize(
    ("scale", "value", "bound"),
    [
        (Scale("performance"), 100.0, 97.04),
        (Scale("performance", lower_is_better=True), 100.0, 103.05),
        (Scale("performance"), 0.0, 0.0),
        (SHARE, 75.0, 72.0),
        (COUNT, 0.0, 4.087),
        (COUNT, 100.0, 132.3),
    ],
)
def test_a_baseline_of_a_ledger_tolerates_three_of_its_scale(scale, value, bound):
    assert written_of(value, None, scale).bound == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize("scale", [COUNT, SHARE, Scale("performance"), LOAD])
@pytest.mark.parametrize("value", [0.0, 1.0, 42.0])
def test_a_figure_of_any_kind_comes_back_from_its_scale(scale, value):
    assert scale.value(scale.place(value)) == pytest.approx(value, abs=2e-3)


def test_more_is_worse_where_less_is_better():
    assert COUNT.place(0) > COUNT.place(1) > COUNT.place(100)
    assert LOAD.place(10) > LOAD.place(20)
    with pytest.raises(ValueError, match="0 or more"):
        COUNT.place(-1)


def test_counts_that_come_by_chance_have_a_spread_of_one():
    random = np.random.default_rng(1)
    for mean, least in ((0.1, 0.0), (1, 0.7), (4, 0.95), (30, 0.95), (1000, 0.95)):
        places = [COUNT.place(float(each)) for each in random.poisson(mean, 10_000)]
        assert least < np.std(places) < 1.05


def _suspects(mean: float, tonight: float, nights: int = 400) -> float:
    """Return the share of nights that fail by one look, where events come by chance."""
    random = np.random.default_rng(7)
    failed = 0
    for _ in range(nights):
        past = Past.of([Measured(float(each)) for each in random.poisson(mean, 10)])
        run = Measured(float(random.poisson(tonight)))
        ruling = look(expected_of(past, run, COUNT, None), run, COUNT, Levels())
        failed += ruling.p is not None and ruling.p < Levels().fail and ruling.outcome != "pass"
    return failed / nights


@pytest.mark.parametrize("mean", [0.0, 0.3, 5.0, 200.0])
def test_counts_that_are_as_before_hardly_ever_fail(mean):
    assert _suspects(mean, mean) <= 0.015


@pytest.mark.parametrize(("mean", "tonight"), [(0.0, 15.0), (5.0, 40.0), (200.0, 320.0)])
def test_many_more_events_than_ever_are_found(mean, tonight):
    assert _suspects(mean, tonight) > 0.9


def test_shares_that_never_differ_have_a_spread_all_the_same():
    history = LevelHistory([Measured(75.0)] * 10, SHARE)
    assert history.p_low([Measured(74.8)]) > 0.05
    assert history.p_low([Measured(70.0)]) < 0.001


FIGURE = PastFigure(
    run="tonight", case="c", benchmark="perf", metric="ttft_p99", value=100.0, unit="ms", n=64,
    started_at="2026-11-20", host="a", conditions=Conditions(),
)  # fmt: skip
TTFT = (100.0, 101.5, 99.0, 100.4, 98.9, 100.7, 99.6, 100.2)


def figure(metric: str, value: float) -> PastFigure:
    return replace(FIGURE, metric=metric, unit=KNOWN[metric].unit, value=value)


def nights(metric: str, *values: float) -> tuple[PastFigure, ...]:
    return tuple(
        replace(
            figure(metric, value), run=f"r{day}", started_at=f"2026-10-{day:02}", outcome="pass"
        )
        for day, value in enumerate(values, 1)
    )


def judged(metric, value, past=(), holding=None, repeats=()):
    """Judge a figure with what is measured when asked; nothing of the last good version."""
    subject = Subject(figure(metric, value), past, holding or Holding(None))
    left = list(repeats)
    examining = examine(subject)
    expected = None if holding is None else (holding.value, holding.threshold)
    before = check(Asked("perf", metric, expected=expected), measured(metric, value))
    try:
        wanted = next(examining)
        while True:
            more = wanted.what is Ask.REPEAT and left
            answer = replace(subject.tonight, value=left.pop(0), repeat=1) if more else None
            wanted = examining.send(answer)
    except StopIteration as ended:
        return with_evidence(before, subject, ended.value)


CASE = Holding(100.0, "case.yaml:7", threshold=0.9)
RATE = Holding(75.0, "case.yaml:7", threshold=0.9)
NONE = Holding(0.0, "case.yaml:7", threshold=1.0)


@pytest.mark.parametrize(
    ("metric", "value", "past", "holding", "repeats", "outcome", "reason"),
    [
        # A latency that is longer than nights let expect, once and again.
        ("ttft_p99", 115, TTFT, None, (114, 116, 115), "fail", "15 % longer than 8 nights (mea"),
        ("ttft_p99", 115, TTFT, None, (100,), "pass", "15 % longer than 8 nights at first, and"),
        ("ttft_p99", 90, TTFT, None, (), "pass", "above the band"),
        # Against the case alone, only what stays long fails.
        ("ttft_p99", 120, (), CASE, (119, 121, 120), "fail", "20 % longer than the baseline (mea"),
        ("ttft_p99", 120, (), CASE, (), "unknown", "suspect: 20 % longer than the baseline, and"),
        ("ttft_p99", 111, (), CASE, (), "pass", ""),
        # Counts may be 0.
        ("server_preemptions", 0, (0,) * 8, None, (), "pass", ""),
        ("server_preemptions", 30, (0,) * 8, None, (30,) * 3, "fail", "30 requests more than 8 n"),
        ("server_preemptions", 2, (0,) * 8, None, (0,), "pass", "2 requests more than 8 nights"),
        ("server_preemptions", 0, (), NONE, (), "pass", ""),
        ("server_preemptions", 3, (), NONE, (3, 3, 3), "fail", "3 requests more than the base"),
        # So may shares and goodput.
        ("prefix_cache_hit_rate", 60, (75,) * 8, None, (60,) * 3, "fail", "15 points lower than 8"),
        ("prefix_cache_hit_rate", 0, (), RATE, (0,) * 3, "fail", "75 points lower than the base"),
        ("request_goodput", 0, (5, 5.1, 4.9, 5), None, (0,) * 3, "fail", "100 % lower than 4 ni"),
        ("request_goodput", 0, (0,) * 8, None, (), "pass", ""),
    ],
)
def test_further_figures_are_judged_in_two_stages(  # noqa: PLR0913, PLR0917 - a row of the table
    metric, value, past, holding, repeats, outcome, reason
):
    found = judged(metric, float(value), nights(metric, *map(float, past)), holding, repeats)
    assert (found.outcome, found.reason[: len(reason)]) == (outcome, reason)
    assert found.seen
    if past:
        low, high = found.interval
        assert low <= value <= high
        assert found.source == f"{len(past)} nights since 2026-10-01"
        assert found.smallest_drop > 0


def test_items_that_are_right_or_wrong_say_nothing_of_other_figures_of_their_benchmark():
    past = nights("server_preemptions", 0.0, 0.0)
    subject = Subject(
        replace(figure("server_preemptions", 2.0), items={"0": (1, 1)}),
        tuple(replace(each, items={"0": (1, 1)}) for each in past),
    )
    with pytest.raises(StopIteration) as ended:
        next(examine(subject))
    assert ended.value.value.ruling.finding == "nothing to compare with"
    found = judged("server_preemptions", 2.0, past)
    assert (found.outcome, found.reason) == (
        "pass",
        "no baseline yet: 2 of 4 comparable nights",
    )


@pytest.mark.parametrize(
    ("metric", "value", "reason"),
    [
        ("ttft_p99", 0.0, "ttft_p99 is 0"),
        ("request_goodput", 0.0, ""),
        ("server_preemptions", 0.0, ""),
        ("startup_api_s", 0.0, ""),
        ("server_preemptions", -1.0, "server_preemptions is -1"),
        ("prefix_cache_hit_rate", float("nan"), "prefix_cache_hit_rate is nan"),
    ],
)
def test_only_figures_of_nothing_are_broken_by_a_zero(metric, value, reason):
    assert broken(figure(metric, value)) == reason


@pytest.mark.parametrize(
    ("metric", "values", "same"),
    [
        ("server_preemptions", (0, 3), True),
        ("server_preemptions", (0, 30), False),
        ("server_preemptions", (100, 140), True),
        ("ttft_p99", (100, 104), True),
        ("ttft_p99", (100, 108), False),
    ],
)
def test_nights_agree_on_the_scale_of_their_figure(metric, values, same):
    first, second = (figure(metric, float(value)) for value in values)
    assert agree(first, second) is same
