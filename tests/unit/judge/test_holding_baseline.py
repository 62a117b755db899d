"""Test which baseline holds, and what speaks against accepting a new one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from past_figures import SETTINGS, SPEED, TONIGHT, past

from ci.judge.baseline import (
    NONE_YET,
    Accepted,
    CaseBaseline,
    Holding,
    Ledger,
    Rejected,
    accepted_value,
    agree,
    evidence_of,
    holding,
    is_worse,
    objections,
)
from ci.judge.comparable import History, comparable

CASE = CaseBaseline(88.0, 3.0, "configs/cases/c.yaml:7")
ENTRY = Accepted(
    benchmark="acc",
    metric="accuracy",
    value=89.0,
    unit="%",
    n=40,
    questions="q1",
    conditions=SETTINGS,
    device="cuda",
    host="a",
    file="b.yaml",
    line=3,
)
FAST = replace(ENTRY, benchmark="perf", metric=SPEED.metric, unit="tok/s", value=100.0)


def held(*entries, tonight=TONIGHT, case=CASE):
    return holding(tonight, Ledger("c", entries), case)


def test_without_a_ledger_the_baseline_of_the_case_holds():
    assert held() == Holding(88.0, "configs/cases/c.yaml:7", threshold=3.0)
    assert held(replace(ENTRY, benchmark="other")).source == CASE.source
    assert held(replace(ENTRY, metric="pass@4")).source == CASE.source
    assert held(case=None) == Holding(None, reason=NONE_YET)


HOLDS = {
    "one": ([ENTRY], 89.0),
    "the newest": ([ENTRY, replace(ENTRY, value=91.0)], 91.0),
    "the newest that is of these questions": (
        [ENTRY, replace(ENTRY, value=91.0, questions="q0")],
        89.0,
    ),
    "of any questions": ([replace(ENTRY, questions="")], 89.0),
    "of any settings": ([replace(ENTRY, conditions=None)], 89.0),
    "of any device": ([replace(ENTRY, device="")], 89.0),
    "on another host, as a score has none": ([ENTRY, replace(ENTRY, host="b", value=91.0)], 91.0),
    "of another load, on which a score does not depend": (
        [replace(ENTRY, conditions=replace(SETTINGS, batch_size=1))],
        89.0,
    ),
}


@pytest.mark.parametrize("name", HOLDS)
def test_a_baseline_of_the_ledger_holds(name):
    entries, value = HOLDS[name]
    found = held(*entries)
    assert (found.value, found.accepted.value, found.reason) == (value, value, "")
    assert found.source == "b.yaml:3"


MISFITS = {
    "unit": (replace(ENTRY, unit="points"), "another unit: points, now %"),
    "device": (replace(ENTRY, device="cpu"), "another device: cpu, now cuda"),
    "questions": (replace(ENTRY, questions="q0", n=20), "other questions: 20 items, now 40"),
    "settings": (
        replace(ENTRY, conditions=replace(SETTINGS, max_out_len=32, tool_version="3.0")),
        "other settings: version of the tool 3.0, now 3.1; max_out_len 32, now 64",
    ),
}


@pytest.mark.parametrize("name", MISFITS)
def test_a_baseline_of_something_else_does_not_hold_and_says_why(name):
    entry, why = MISFITS[name]
    assert held(entry) == Holding(None, reason=f"{NONE_YET}: that of b.yaml:3 is of {why}")


def test_the_baseline_of_a_speed_is_that_of_its_host():
    other = replace(FAST, host="b", value=120.0)
    assert held(FAST, other, tonight=SPEED).value == 100.0
    elsewhere = held(other, tonight=SPEED)
    assert (elsewhere.value, elsewhere.reason) == (120.0, "accepted on b")
    assert held(other, replace(FAST, host=""), tonight=SPEED).reason == ""


def test_a_ledger_knows_the_rejected_runs():
    ledger = Ledger("c", rejected=(Rejected("r1", "me", "now", "disk full"),))
    assert ledger.rejected_runs == {"r1": "disk full"}


@pytest.mark.parametrize(
    ("figure", "other", "n", "same"),
    [
        (TONIGHT, 90.0, 40, True),
        (TONIGHT, 72.0, 40, True),
        (TONIGHT, 60.0, 40, False),
        (TONIGHT, 86.0, 1319, False),
        (TONIGHT, 88.0, 1319, True),
        (replace(TONIGHT, value=100.0), 99.9, 1319, True),
        (replace(TONIGHT, value=100.0), 100.0, 1, True),
        (replace(SPEED, value=100.0), 95.1, 1, True),
        (replace(SPEED, value=100.0), 94.9, 1, False),
        (replace(SPEED, value=100.0), 105.1, 1, False),
    ],
)
def test_nights_agree_if_they_differ_by_no_more_than_noise(figure, other, n, same):
    assert agree(replace(figure, n=n), replace(figure, value=other, n=n)) is same


def speeds(*values, tonight=100.0, **changes):
    figures = [past(number, SPEED, value=value) for number, value in enumerate(values, 1)]
    figure = replace(SPEED, value=tonight, **changes)
    return figure, comparable(figure, figures)


def test_the_evidence_ends_where_another_level_held():
    figure, history = speeds(99.0, 80.0, 101.0, 102.0)
    evidence = evidence_of(figure, history)
    assert [each.value for each in evidence] == [101.0, 102.0, 100.0]
    assert accepted_value(evidence) == (101.0, 1.0)


def test_a_failed_night_that_differs_is_passed_over():
    figure, history = speeds(99.0, 80.0, 101.0)
    figures = list(history.figures)
    figures[1] = replace(figures[1], outcome="fail")
    evidence = evidence_of(figure, History(tuple(figures), ()))
    assert [each.value for each in evidence] == [99.0, 101.0, 100.0]


def test_the_evidence_for_a_speed_is_of_the_same_hosts_and_for_a_score_of_all():
    slow = past(1, SPEED, host="b", value=99.0)
    assert evidence_of(replace(SPEED, value=100.0), History((slow,), ())) == (
        replace(SPEED, value=100.0),
    )
    other = past(1, host="b")
    assert evidence_of(TONIGHT, History((other,), ())) == (other, TONIGHT)


def test_scores_have_the_mean_and_one_night_has_no_spread():
    assert accepted_value([past(value=80.0), past(value=85.0), TONIGHT])[0] == 85.0
    assert accepted_value([TONIGHT]) == (90.0, None)


def test_at_most_ten_nights_are_evidence():
    nights = tuple(past(1, started_at=f"2026-01-{number:02}") for number in range(10, 30))
    assert evidence_of(TONIGHT, History(nights, ())) == (*nights[-9:], TONIGHT)


@pytest.mark.parametrize(
    ("metric", "unit", "value", "than", "worse"),
    [
        ("accuracy", "%", 89.0, 90.0, True),
        ("accuracy", "%", 91.0, 90.0, False),
        ("accuracy", "%", 0.1 + 0.2, 0.3, False),
        ("ttft_p50", "ms", 12.0, 10.0, True),
        ("ttft_p50", "ms", 9.0, 10.0, False),
    ],
)
def test_what_is_worse_depends_on_the_metric(metric, unit, value, than, worse):
    assert is_worse(metric, unit, value, than) is worse


def against(figure, history, held=None):
    return objections(figure, evidence_of(figure, history), history, held or Holding(None))


def test_nothing_speaks_against_three_nights_that_agree():
    figure, history = speeds(101.0, 99.0)
    assert against(figure, history) == ()
    assert against(figure, history, Holding(95.0, "x:1")) == ()


def test_a_worse_baseline_too_few_nights_and_an_unhealthy_night_are_objections():
    figure, history = speeds(80.0, 120.0, night="fail", failed=2)
    assert against(figure, history, Holding(110.0, "x:1")) == (
        "it loosens the baseline: 100 tok/s is worse than 110 tok/s of x:1",
        "1 comparable night agrees with it, itself included; expected at least 3",
        "the outcome of the night is fail",
        "2 requests failed",
    )
    figure, history = speeds(100.0, night="unknown", problems=("the log ends",))
    assert against(figure, history) == (
        "2 comparable nights agree with it, itself included; expected at least 3",
        "the outcome of the night is unknown",
        "problems: the log ends",
    )


def test_more_cut_answers_than_in_any_night_before_are_an_objection():
    history = comparable(TONIGHT, [past(1, cut=2), past(2, cut=3)])
    assert against(replace(TONIGHT, cut=3), history) == ()
    assert against(replace(TONIGHT, cut=4), history) == (
        "4 of 40 answers are cut, in the nights before at most 3",
    )
