"""Test the comparison of two results item by item: pairing, and McNemar's exact test."""

from dataclasses import replace

import pytest

from ci.case.benchmark import Benchmark
from ci.judge.paired import SIGNIFICANCE, SMALLEST, compare_items, p_value
from ci.judge.verdict import judge
from ci.tools.model import Item, Measurement, Result

NAMES = ("through the router", "without it")
DIRECT = "acc-without-router"
ACC = Benchmark(
    name="acc",
    case_type="accuracy",
    dataset_path="words",
    max_out_len=8,
    batch_size=1,
    without_router=True,
)


def items(right, count=16, digest="d{}"):
    return tuple(
        Item(str(at), digest.format(at), correct=at in set(right), tokens=3) for at in range(count)
    )


def result(name, right, count=16, **changes):
    right = set(right)
    figure = Measurement(name, "accuracy", 100 * len(right) / count, "%", count, None, "s.csv")
    return replace(Result((figure,), items(right, count)), **changes)


# As scipy.stats.binomtest(only_first, only_first + only_second) of SciPy 1.17.1 gives them.
@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (0, 0, 1.0),
        (0, 1, 1.0),
        (0, 6, 0.03125),
        (6, 0, 0.03125),
        (0, 7, 0.015625),
        (0, 8, 0.0078125),
        (8, 0, 0.0078125),
        (1, 10, 0.01171875),
        (2, 9, 0.0654296875),
        (3, 14, 0.012725830078125),
        (5, 5, 1.0),
        (10, 4, 0.1795654296875),
        (20, 40, 0.01348929373119186),
        (100, 150, 0.0018833009350761602),
        (300, 420, 8.807756168615114e-06),
        (700, 619, 0.027573696259397113),
    ],
)
def test_the_p_value_is_that_of_the_exact_binomial_test(only_first, only_second, p):
    assert p_value(only_first, only_second) == pytest.approx(p, rel=1e-9)


def test_the_smallest_difference_that_fails():
    assert p_value(0, SMALLEST) < SIGNIFICANCE <= p_value(0, SMALLEST - 1)


@pytest.mark.parametrize(
    ("through", "direct", "outcome", "counts"),
    [
        (range(16), range(16), "pass", "0 were right only through the router and 0 only without"),
        ((), (), "pass", "0 were right only through the router and 0 only without it: p = 1;"),
        (range(10), range(16), "pass", "0 were right only through the router and 6 only without"),
        (range(9), range(16), "pass", "7 only without it: p = 0.016;"),
        (range(8), range(16), "fail", "8 only without it: p = 0.0078, expected at least 0.01"),
        (range(16), range(8), "fail", "8 were right only through the router and 0 only without"),
        (range(8), range(8, 16), "pass", "8 were right only through the router and 8 only without"),
        (range(2, 8), (0, 1), "pass", "6 were right only through the router and 2 only without"),
    ],
)
def test_items_that_are_right_in_one_result_alone_are_counted(through, direct, outcome, counts):
    compared, reason = compare_items(items(through), items(direct), NAMES)
    assert compared == outcome
    assert reason.startswith("of 16 items, ")
    assert counts in reason
    detectable = "the smallest difference that fails is 8 items (50 pp)"
    assert (detectable in reason) == (outcome == "pass")


ALL = items(range(16))


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ((), ALL, "there are no items through the router, so none can be compared"),
        (ALL, (), "there are no items without it, so none can be compared"),
        (ALL[1:], ALL, "items were measured only without it: 0"),
        (ALL, ALL[:11], "items were measured only through the router: 11, 12, 13, and 2 more"),
        ((*ALL, ALL[3]), ALL, "several items through the router have the same id: 3"),
        (
            ALL,
            (replace(ALL[0], correct=None), *ALL[1:]),
            "items without it are neither right nor wrong: 0",
        ),
        (
            ALL,
            (replace(ALL[0], prompt_digest="other"), *ALL[1:]),
            "the prompts of these items differ: 0",
        ),
        (ALL[:7], ALL[:7], "7 items cannot show a difference; ask at least 8"),
    ],
)
def test_items_that_are_no_pairs_are_unknown(first, second, reason):
    assert compare_items(first, second, NAMES) == ("unknown", reason)


def test_items_are_paired_by_their_id_and_a_digest_may_be_unknown():
    unknown = tuple(replace(item, prompt_digest=None) for item in reversed(ALL))
    assert compare_items(ALL, unknown, NAMES)[0] == "pass"
    assert compare_items(unknown, unknown, NAMES)[0] == "pass"


@pytest.mark.parametrize(
    ("through", "direct", "outcome", "reason"),
    [
        (result("acc", range(8)), result(DIRECT, range(16)), "fail", "of 16 items, 0 were right"),
        (result("acc", range(14)), result(DIRECT, range(16)), "pass", "of 16 items, 0 were right"),
        (
            result("acc", range(16), problems=("3 of 16 missing",)),
            result(DIRECT, range(16)),
            "unknown",
            "acc: 3 of 16 missing",
        ),
        (
            result("acc", range(16)),
            result(DIRECT, range(16), problems=("exit 1",)),
            "unknown",
            f"{DIRECT}: exit 1",
        ),
        (result("acc", range(16)), None, "unknown", f"{DIRECT}: never reached: a cause"),
    ],
)
def test_the_judge_has_a_check_for_a_benchmark_with_and_without_router(
    through, direct, outcome, reason
):
    results = {"acc": through} | ({DIRECT: direct} if direct else {})
    verdict = judge((ACC,), results, cause="" if direct else "a cause")
    check = verdict.checks[1]
    assert check.name == "acc through and without the router"
    assert (check.metric, check.unit, check.tolerance) == ("accuracy", "%", "p ≥ 0.01")
    assert check.outcome == outcome
    assert check.reason.startswith(reason)
    assert verdict.outcome == outcome
    if outcome != "unknown":
        assert check.baseline == 100


def test_a_benchmark_that_is_measured_once_has_one_check():
    once = ACC.model_copy(update={"without_router": False})
    assert len(judge((once,), {"acc": result("acc", range(16))}).checks) == 1
