"""A void figure is compared with no baseline; answers do not change with the load of a host."""

import pytest

from ci.case.benchmark import Benchmark
from ci.case.model import Comparison
from ci.judge.verdict import ABOVE_THE_BAND, NO_BASELINE, judge
from ci.tools.model import Item, Measurement, Result

STOLEN = "01:02:10–01:02:44: 37% of host b's CPU time was stolen"
VOID, DISTURBED = f"void: {STOLEN}", f"the hosts were disturbed: {STOLEN}"
METRICS = {"performance": ("output_token_throughput", "tok/s"), "accuracy": ("accuracy", "%")}


def benchmark(case_type, baseline, threshold, name="one"):
    return Benchmark(
        name=name,
        case_type=case_type,
        dataset_path="words",
        max_out_len=64,
        batch_size=4,
        baseline=baseline,
        threshold=threshold,
    )


def result(case_type, value, *, name="one", problems=(), void=(STOLEN,)):
    metric, unit = METRICS[case_type]
    figures = (Measurement(name, metric, value, unit, 8, None, "f.json"),)
    return Result(figures, (Item("1", tokens=3),), problems, void=void)


@pytest.mark.parametrize(
    ("case_type", "expected", "value", "outcome", "reason"),
    [
        ("performance", (100.0, 0.97), 100.0, "unknown", VOID),
        ("performance", (100.0, 0.97), 50.0, "unknown", VOID),
        ("performance", (100.0, 0.97), 150.0, "unknown", VOID),
        ("performance", (None, None), 50.0, "pass", f"{NO_BASELINE}; {VOID}"),
        ("accuracy", (95.0, 5.0), 95.0, "pass", DISTURBED),
        ("accuracy", (94.0, 5.0), 100.0, "pass", f"{ABOVE_THE_BAND}; {DISTURBED}"),
        ("accuracy", (95.0, 5.0), 80.0, "fail", f"10 pp below the bound; {DISTURBED}"),
        ("accuracy", (None, None), 80.0, "pass", f"{NO_BASELINE}; {DISTURBED}"),
    ],
)
def test_each_kind_with_and_without_a_baseline(case_type, expected, value, outcome, reason):
    asked = (benchmark(case_type, *expected),)
    verdict = judge(asked, {"one": result(case_type, value)})
    (check,) = verdict.checks
    assert (check.outcome, check.reason, check.value) == (outcome, reason, value)
    assert verdict.outcome == outcome


@pytest.mark.parametrize(("case_type", "said"), [("accuracy", DISTURBED), ("performance", VOID)])
def test_lost_requests_are_unknown_and_say_that_the_hosts_were_disturbed(case_type, said):
    lost = result(case_type, 80.0, problems=("3 requests failed: timed out",))
    (check,) = judge((benchmark(case_type, 95.0, 0.5),), {"one": lost}).checks
    assert (check.outcome, check.value) == ("unknown", None)
    assert check.reason == f"3 requests failed: timed out; {said}"


def test_nothing_is_said_of_quiet_hosts():
    quiet = result("performance", 100.0, void=())
    (check,) = judge((benchmark("performance", 100.0, 0.97),), {"one": quiet}).checks
    assert (check.outcome, check.reason) == ("pass", "")


@pytest.mark.parametrize("void", ["target", "baseline"])
def test_figures_are_not_compared_if_one_is_void(void):
    comparison = Comparison(
        metric="output_token_throughput",
        target="target",
        baseline="baseline",
        ratio=1,
        operator=">",
    )
    results = {
        name: result("performance", value, name=name, void=(STOLEN,) * (name == void))
        for name, value in (("target", 10.0), ("baseline", 20.0))
    }
    (check,) = judge((), results, comparisons=(comparison,)).checks
    assert (check.outcome, check.reason) == ("unknown", VOID)
    assert (check.value, check.baseline) == (10.0, 20.0)
