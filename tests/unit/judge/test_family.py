"""What chance explains among the checks of a night, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.judge.family import one_finding, p_of_family, with_judged, without_chance
from ci.judge.verdict import Check, combine

GOOD = Check("gsm8k", "accuracy", 95.0, "%", 95.0, "", None, "pass", p=0.6)
SUSPECT = replace(GOOD, name="perf", outcome="unknown", reason="suspect: 3 % lower", p=0.018)
NIGHT = [SUSPECT, *(replace(GOOD, name=f"gsm8k-{at}") for at in range(19))]


def test_the_lowest_of_many_figures_is_chance():
    (judged, *others) = without_chance(NIGHT)
    assert (judged.outcome, judged.reason) == (
        "pass",
        "suspect: 3 % lower; one of 20 benchmarks is as low as that by chance",
    )
    assert others == NIGHT[1:]
    assert without_chance([SUSPECT]) == [SUSPECT]
    assert without_chance([replace(SUSPECT, p=0.001), *NIGHT[1:]])[0].outcome == "unknown"


def test_what_is_low_again_each_time_is_no_chance():
    assert without_chance(NIGHT, again={("perf", "accuracy")}) == NIGHT


LATENCIES = [
    replace(SUSPECT, metric=metric, reason=f"suspect: {metric}", p=p)
    for metric, p in (("throughput", 0.02), ("ttft_p99", 0.011), ("tpot_mean", 0.03))
]


@pytest.mark.parametrize(
    ("ps", "p"),
    [
        ((0.02,), 0.02),
        ((0.01, 0.9), 0.02),
        ((0.9, 0.01), 0.02),
        ((0.01, 0.012, 0.015), 0.015),  # together they are as telling as one of them
        ((0.5, 0.5, 0.5), 0.5),
    ],
)
def test_figures_of_one_benchmark_have_one_probability(ps, p):
    assert p_of_family(ps) == pytest.approx(p)


def test_benchmarks_are_counted_and_not_their_figures():
    """Ten figures of one benchmark give chance no more occasions than its one run does."""
    figures = [replace(GOOD, metric=f"m{at}") for at in range(10)]
    suspect = replace(SUSPECT, p=0.04)
    assert without_chance([suspect, *figures])[0].outcome == "unknown"
    others = [replace(figure, name=f"b{at}") for at, figure in enumerate(figures)]
    assert without_chance([suspect, *others])[0].outcome == "pass"


def test_a_suspect_among_good_figures_of_its_own_benchmark_is_less_telling():
    alone = [replace(SUSPECT, p=0.04), replace(GOOD, name="b")]
    assert without_chance(alone)[0].outcome == "unknown"
    good = [replace(GOOD, name="perf", metric=f"m{at}") for at in range(4)]
    assert without_chance([*alone, *good])[0].outcome == "pass"


def test_no_figure_of_a_benchmark_that_is_low_as_a_whole_is_chance():
    night = [*LATENCIES, *(replace(GOOD, name=f"b{at}") for at in range(2))]
    assert without_chance(night) == night


FAILED = [replace(each, outcome="fail", reason=f"{each.metric} is worse") for each in LATENCIES]


@pytest.mark.parametrize(
    ("checks", "first"),
    [
        (FAILED, "ttft_p99"),
        (LATENCIES, "ttft_p99"),
        ([LATENCIES[1], FAILED[2]], "tpot_mean"),  # a failure is more telling than a suspect
        ([replace(FAILED[0], p=None), replace(FAILED[2], p=None)], "throughput"),
        ([FAILED[0], replace(GOOD, name="perf")], "throughput"),
    ],
)
def test_the_most_telling_figure_of_a_benchmark_is_its_finding(checks, first):
    marked = one_finding(checks, {"perf"})
    for before, after in zip(checks, marked, strict=True):
        same = before.metric != first and before.outcome != "pass"
        assert after.outcome == before.outcome
        assert after.same_as == (first if same else "")
        assert after.reason == before.reason + f"; the same finding as {first}" * same
    assert one_finding(marked, {"perf"}) == marked


def test_other_checks_are_findings_of_their_own():
    checks = tuple(replace(each, name="functional") for each in FAILED)
    assert one_finding(checks, {"perf"}) == checks
    problem = replace(GOOD, name="perf", outcome="unknown", reason="3 requests failed")
    assert one_finding([*FAILED[:1], problem], {"perf"})[1] == problem


def test_a_verdict_has_one_finding_for_each_benchmark():
    whole = combine(tuple(replace(each, outcome="pass", reason="") for each in FAILED))
    judged = with_judged(whole, {(each.name, each.metric): each for each in FAILED})
    assert judged.outcome == "fail"
    assert [each.same_as for each in judged.checks] == ["ttft_p99", "", "ttft_p99"]
