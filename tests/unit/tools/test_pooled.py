"""The passes of a benchmark → one result."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from ci.tools.failed import failed_requests
from ci.tools.model import Item, Measurement, Pass, Result
from ci.tools.pooled import pass_at_k, pooled


def accuracy(marks: str, **changes: object) -> Result:
    """A pass: a `1` is a right answer, a `0` a wrong one, a `-` neither."""
    known = {"1": True, "0": False, "-": None}
    items = tuple(Item(str(at), f"d{at}", known[mark], 5) for at, mark in enumerate(marks))
    value = 100 * marks.count("1") / max(len(marks), 1)
    figure = Measurement("b", "accuracy", value, "%", len(marks), "items.jsonl", "s.csv")
    return replace(Result((figure,), items), **changes)


def speed(value: float, latencies: list[float], percentile: float | None = None) -> Result:
    items = tuple(Item(str(at), None, None, 5, each) for at, each in enumerate(latencies))
    p90 = float(np.percentile(latencies, 90)) if percentile is None else percentile
    figures = {"output_token_throughput": (value, "tok/s"), "server_preemptions": (0.0, "")}
    figures |= {"e2el_p90": (p90, "ms"), "ttft_p90": (p90 / 2, "ms")}
    measured = (
        Measurement("b", metric, each, unit, len(items), "items.jsonl", "r.json")
        for metric, (each, unit) in figures.items()
    )
    return Result(tuple(measured), items)


def pool(*results: Result, asked: int = 0) -> Result:
    times = ((each.started_at, each.ended_at, len(each.items)) for each in results)
    passes = [Pass(f"b-pass-{at}", *of_pass, "raw") for at, of_pass in enumerate(times, 1)]
    return pooled(results, passes, asked or len(results))


def figures_of(result: Result) -> dict[str, Measurement]:
    return {each.metric: each for each in result.measurements}


def test_an_accuracy_is_that_of_all_answers():
    result = pool(accuracy("1100"), accuracy("1010"), accuracy("1000"), accuracy("1001"))
    found = figures_of(result)
    assert result.problems == ()
    assert (found["accuracy"].value, found["accuracy"].n) == (43.75, 16)
    assert found["accuracy"].runs == (50, 50, 25, 50)
    assert found["accuracy"].source == "s.csv, mean of 4 passes"
    assert (found["avg@4"].value, found["avg@4"].n) == (43.75, 16)
    # One item is right 4 times of 4, three are right once.
    expected = {"pass@1": 43.75, "pass@2": 62.5, "pass@4": 100}
    assert {name: found[name].value for name in found if "pass" in name} == pytest.approx(expected)
    assert {found[name].n for name in expected} == {4}
    assert [item.id for item in result.items] == ["0", "1", "2", "3"] * 4
    assert [each.process for each in result.passes] == [f"b-pass-{at}" for at in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("passes", "names"),
    [(2, ["1", "2"]), (3, ["1", "2", "3"]), (6, ["1", "2", "4", "6"]), (8, ["1", "2", "4", "8"])],
)
def test_pass_at_k_is_of_powers_of_two_and_of_all(passes, names):
    found = figures_of(pool(*[accuracy("10")] * passes))
    assert [name.removeprefix("pass@") for name in found if "pass@" in name] == names


@pytest.mark.parametrize("answers", [(0, 0, 0, 0), (1, 0, 0, 0), (1, 1, 0, 0, 1), (1, 1, 1)])
def test_pass_at_k_is_the_share_of_draws_with_a_right_answer(answers):
    for k in range(1, len(answers) + 1):
        draws = list(itertools.combinations(answers, k))
        share = sum(map(any, draws)) / len(draws)
        assert pass_at_k([(len(answers), sum(answers))], k) == pytest.approx(100 * share)


def test_items_that_are_neither_right_nor_wrong_have_only_a_mean():
    assert set(figures_of(pool(accuracy("1-"), accuracy("0-")))) == {"accuracy", "avg@2"}


def test_a_performance_is_the_mean_of_its_passes():
    found = figures_of(pool(speed(100, [1, 2, 3]), speed(110, [4, 5, 6])))
    throughput = found["output_token_throughput"]
    assert (throughput.value, throughput.n, throughput.runs) == (105, 6, (100, 110))
    assert (found["server_preemptions"].value, found["server_preemptions"].runs) == (0, (0, 0))
    assert not any("@" in name for name in found)


def test_a_percentile_is_that_of_all_requests_where_the_items_have_it():
    first, second = list(range(1, 11)), list(range(101, 111))
    whole = figures_of(pool(speed(100, first), speed(100, second)))
    assert whole["e2el_p90"].value == pytest.approx(np.percentile(first + second, 90))
    assert whole["e2el_p90"].source == "r.json, all requests of 2 passes"
    assert whole["e2el_p90"].runs == pytest.approx((9.1, 109.1))
    # The tool has taken it from something else than the items have.
    other = figures_of(pool(speed(100, first), speed(100, second, percentile=90.0)))
    assert other["e2el_p90"].value == pytest.approx((9.1 + 90) / 2)
    assert whole["ttft_p90"].value == pytest.approx((9.1 + 109.1) / 4)
    gap = speed(100, second)
    gap = replace(gap, items=(replace(gap.items[0], latency_ms=None), *gap.items[1:]))
    assert figures_of(pool(speed(100, first), gap))["e2el_p90"].source.endswith("mean of 2 passes")


LACKING = {
    "a pass with a problem": (
        [accuracy("11"), accuracy("1", problems=("3 of 4 requests failed",))],
        3,
        [
            "pass 2 of 3: 3 of 4 requests failed",
            "1 of 3 passes was not asked after that",
        ],
    ),
    "a pass with a problem, and two more": (
        [accuracy("11", problems=("late",))],
        3,
        ["pass 1 of 3: late", "2 of 3 passes were not asked after that"],
    ),
    "fewer items": (
        [accuracy("11"), accuracy("1")],
        2,
        ["pass 2 of 2: its 1 items are not the 2 of the first pass"],
    ),
    "other prompts": (
        [accuracy("11"), replace(accuracy("11"), items=(Item("0", "d0"), Item("1", "other")))],
        2,
        ["pass 2 of 2: its 2 items are not the 2 of the first pass"],
    ),
}


@pytest.mark.parametrize(("results", "asked", "problems"), LACKING.values(), ids=LACKING)
def test_a_result_is_never_that_of_fewer_passes(results, asked, problems):
    result = pool(*results, asked=asked)
    assert list(result.problems) == problems
    assert not any("@" in each.metric for each in result.measurements)


def test_failed_requests_of_a_pass_are_counted():
    result = pool(accuracy("11"), accuracy("1", problems=("3 of 4 requests failed",)))
    assert failed_requests(result.problems) == 3


def test_it_takes_as_long_as_all_passes_and_has_what_disturbed_each():
    first = accuracy("1", started_at="2026-01-01T00:00:00.000Z", ended_at="x", void=("a",))
    last = accuracy("1", started_at="y", ended_at="2026-01-01T02:00:00.000Z", void=("b", "c"))
    result = pool(first, last)
    assert (result.started_at, result.ended_at) == (first.started_at, last.ended_at)
    assert result.void == ("pass 1 of 2: a", "pass 2 of 2: b", "pass 2 of 2: c")
