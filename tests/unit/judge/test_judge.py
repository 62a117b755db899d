"""Test the judge: figures that pass, fail or are unknown, and the exit code."""

import math

import pytest

from ci.case.benchmark import Benchmark
from ci.case.model import Comparison
from ci.errors import CaseError, ExitCode, Interrupted, NotReady, ProcessDied, UserError
from ci.judge.verdict import (
    ABOVE_THE_BAND,
    NO_BASELINE,
    Check,
    combine,
    degrade_if_ended_early,
    exit_code,
    judge,
)
from ci.tools.model import Item, Measurement, Result


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


def measured(value, metric="accuracy", unit="%", n=40, name="one"):
    return Measurement(name, metric, value, unit, n, None, "summary.csv")


def throughput(value, **other):
    return measured(value, "output_token_throughput", **{"unit": "tok/s", **other})


def judged(case_type, baseline, threshold, *measurements, problems=()):
    asked = (benchmark(case_type, baseline, threshold),)
    verdict = judge(asked, {"one": Result(measurements, (), problems)})
    assert verdict.outcome == verdict.checks[0].outcome
    return verdict.checks[0]


@pytest.mark.parametrize(
    ("baseline", "threshold", "value", "outcome", "reason"),
    [
        (95.0, 5.0, 95.0, "pass", ""),
        (95.0, 5.0, 90.0, "pass", ""),
        (95.0, 5.0, 89.99, "fail", "0.01 pp below the bound"),
        (95.0, 5.0, 100.0, "pass", ""),
        (94.0, 5.0, 99.01, "pass", ABOVE_THE_BAND),
        (3.2, 0.1 + 0.2, 2.9, "pass", ""),
        (22.5, 0.0, 22.5, "pass", ""),
        (22.5, 0.0, 22.51, "pass", ABOVE_THE_BAND),
        (22.5, 30.0, 0.0, "pass", ""),
        (70.1, 0.2, 70.3, "pass", ""),
    ],
)
def test_accuracy_is_judged_in_percentage_points(baseline, threshold, value, outcome, reason):
    check = judged("accuracy", baseline, threshold, measured(value))
    assert (check.outcome, check.reason) == (outcome, reason)
    assert check.bound == pytest.approx(baseline - threshold)
    assert check.value == value


@pytest.mark.parametrize(
    ("baseline", "threshold", "value", "outcome", "reason"),
    [
        (100.0, 0.97, 97.0, "pass", ""),
        (100.0, 0.97, 96.9, "fail", "0.1 tok/s below the bound"),
        (100.0, 0.97, 103.0, "pass", ""),
        (100.0, 0.97, 103.1, "pass", ABOVE_THE_BAND),
        (8.3, 0.7, 5.81, "pass", ""),
        (1.0, 0.97, 9482.9677, "pass", ABOVE_THE_BAND),
        (100.0, 1.1, 105.0, "fail", "5 tok/s below the bound"),
        (100.0, 1.1, 110.0, "pass", ""),
    ],
)
def test_performance_is_judged_as_a_share_of_the_baseline(
    baseline, threshold, value, outcome, reason
):
    check = judged("performance", baseline, threshold, throughput(value))
    assert (check.outcome, check.reason) == (outcome, reason)
    assert check.bound == pytest.approx(threshold * baseline)


@pytest.mark.parametrize(
    ("kind", "expected", "items", "reason"),
    [
        ("accuracy", (90.0, 3.0), [("length", 9), ("stop", 5)], "1 of 2 answers were cut"),
        ("accuracy", None, [("length", 9)], f"{NO_BASELINE}; 1 of 1 answers were cut"),
        ("accuracy", (90.0, 3.0), [("stop", 0), ("stop", 5)], "1 of 2 answers were empty"),
        ("accuracy", (90.0, 3.0), [("stop", 3), (None, None)], ""),
        (
            "accuracy",
            (95.0, 3.0),
            [("repetition", 3), ("length", 3)],
            "2 pp below the bound; 1 of 2 answers were cut; 1 of 2 answers were repetitions",
        ),
        ("performance", (90.0, 0.9), [("length", 9)], ""),
    ],
)
def test_cut_and_empty_answers_are_counted(kind, expected, items, reason):
    figure = measured(90.0) if kind == "accuracy" else throughput(90.0)
    listed = [
        Item(str(number), finish_reason=why, tokens=tokens)
        for number, (why, tokens) in enumerate(items)
    ]
    asked = benchmark(kind, *(expected or (None, None)))
    verdict = judge((asked,), {"one": Result((figure,), tuple(listed))})
    assert verdict.checks[0].reason == reason


def test_a_bound_exceeds_its_figure_by_less_than_epsilon():
    assert 0.7 * 8.3 > 5.81
    assert 3.2 - (0.1 + 0.2) != 2.9


@pytest.mark.parametrize(
    ("case_type", "measurements", "problems", "reason"),
    [
        ("accuracy", [], (), "no accuracy in its result"),
        ("accuracy", [throughput(90.0)], (), "no accuracy in its result"),
        ("accuracy", [measured(90.0, name="other")], (), "no accuracy in its result"),
        ("accuracy", [measured(90.0), measured(91.0)], (), "accuracy was measured 2 times"),
        ("accuracy", [measured(math.nan)], (), "accuracy is nan"),
        ("accuracy", [measured(math.inf)], (), "accuracy is inf"),
        ("accuracy", [measured(-math.inf)], (), "accuracy is -inf"),
        ("accuracy", [measured(100.5)], (), "accuracy of 100.5 % is outside 0 to 100"),
        ("accuracy", [measured(-1.0)], (), "accuracy of -1 % is outside 0 to 100"),
        ("accuracy", [measured(0.9, unit="")], (), "accuracy has the unit '', expected '%'"),
        ("accuracy", [measured(90.0, n=0)], (), "accuracy was measured on no item"),
        ("accuracy", [measured(99.0)], ("3 of 40 missing", "exit 1"), "3 of 40 missing; exit 1"),
        ("performance", [measured(90.0)], (), "no output_token_throughput in its result"),
        (
            "performance",
            [throughput(0.0)],
            (),
            "output_token_throughput of 0 tok/s: no token came back",
        ),
        ("performance", [throughput(math.nan)], (), "output_token_throughput is nan"),
        (
            "performance",
            [throughput(90.0, unit="tok/min")],
            (),
            "output_token_throughput has the unit 'tok/min', expected 'tok/s'",
        ),
    ],
)
def test_a_figure_that_cannot_be_trusted_is_unknown(case_type, measurements, problems, reason):
    check = judged(case_type, 50.0, 0.5, *measurements, problems=problems)
    assert (check.outcome, check.reason, check.value) == ("unknown", reason, None)


def test_a_benchmark_that_never_ran_is_unknown_with_a_reason():
    asked = (benchmark("accuracy", 50.0, 5.0), benchmark("performance", 90.0, 0.8, "two"))
    verdict = judge(asked, {"one": Result((measured(50.0),))}, cause="server-0: out of memory")
    assert [check.outcome for check in verdict.checks] == ["pass", "unknown"]
    assert verdict.checks[1].reason == "never reached: server-0: out of memory"
    assert verdict.checks[1].tolerance == "×0.8"
    assert verdict.outcome == "unknown"
    assert judge(asked, {}).checks[0].reason == "never reached"


def ttft(value, name):
    return Result((measured(value, "ttft_mean", "ms", name=name),))


@pytest.mark.parametrize(
    ("operator", "ratio", "figures", "outcome", "reason"),
    [
        ("<", 0.5, (49, 100), "pass", ""),
        ("<", 0.5, (50, 100), "fail", "50 is not < 50"),
        ("<", 0.5, (51, 100), "fail", "51 is not < 50"),
        ("<=", 0.7, (5.81, 8.3), "pass", ""),
        (">", 2, (201, 100), "pass", ""),
        (">", 2, (200, 100), "fail", "200 is not > 200"),
        (">=", 2, (200, 100), "pass", ""),
        (">=", 2, (199, 100), "fail", "199 is not >= 200"),
        ("<", 1, (None, 100), "unknown", "warm: no ttft_mean in its result"),
        ("<", 1, (1, None), "unknown", "cold: no ttft_mean in its result"),
        ("<", 1, (math.nan, 100), "unknown", "warm: ttft_mean is nan"),
        ("<", 1, (0, 100), "unknown", "warm: ttft_mean of 0 ms: no token came back"),
    ],
)
def test_two_figures_are_compared(operator, ratio, figures, outcome, reason):
    asked = Comparison(
        metric="ttft_mean", target="warm", baseline="cold", ratio=ratio, operator=operator
    )
    named = zip(("warm", "cold"), figures, strict=True)
    results = {name: Result() if value is None else ttft(value, name) for name, value in named}
    verdict = judge((), results, comparisons=(asked,))
    assert (verdict.outcome, verdict.checks[0].reason) == (outcome, reason)
    assert verdict.checks[0].name == "warm against cold"


def test_a_comparison_with_a_problem_is_unknown():
    asked = Comparison(metric="ttft_mean", target="a", baseline="b", ratio=1, operator="<")
    broken = Result(ttft(1, "a").measurements, (), ("2 requests failed",))
    for results, reason in (
        ({"a": broken, "b": ttft(2, "b")}, "a: 2 requests failed"),
        ({"a": ttft(1, "a")}, "b: never reached: a host went away"),
    ):
        verdict = judge((), results, cause="a host went away", comparisons=(asked,))
        assert (verdict.outcome, verdict.checks[0].reason) == ("unknown", reason)


def test_extra_checks_count():
    smoke = Check("smoke", "answers", None, "", None, "", None, "unknown", "no token")
    asked = (benchmark("accuracy", 50.0, 5.0),)
    verdict = judge(asked, {"one": Result((measured(50.0),))}, extra=(smoke,))
    assert verdict.outcome == "unknown"
    assert verdict.checks[0] is smoke


def check(outcome):
    return Check("one", "accuracy", None, "%", None, "", None, outcome)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([], "unknown"),
        (["pass"], "pass"),
        (["pass", "unknown"], "unknown"),
        (["unknown", "fail", "pass"], "fail"),
        (["fail"], "fail"),
    ],
)
def test_fail_has_priority_over_unknown_over_pass(outcomes, expected):
    assert combine(tuple(check(outcome) for outcome in outcomes)).outcome == expected


@pytest.mark.parametrize(
    ("outcomes", "expected", "added"),
    [
        ([], "unknown", 1),
        (["pass"], "unknown", 1),
        (["unknown"], "unknown", 0),
        (["fail"], "fail", 0),
    ],
)
def test_a_night_that_ended_early_is_never_a_pass(outcomes, expected, added):
    whole = combine(tuple(check(outcome) for outcome in outcomes))
    verdict = degrade_if_ended_early(whole, "the host went away")
    assert verdict.outcome == expected
    assert [check.reason for check in verdict.checks[len(outcomes) :]] == [
        "the host went away"
    ] * added
    assert degrade_if_ended_early(whole, "") == whole


@pytest.mark.parametrize(
    ("outcome", "error", "expected"),
    [
        ("pass", None, ExitCode.PASS),
        ("fail", None, ExitCode.FAIL),
        ("unknown", None, ExitCode.UNKNOWN),
        ("pass", NotReady("late"), ExitCode.UNKNOWN),
        ("unknown", ProcessDied("server-0", "out of memory"), ExitCode.UNKNOWN),
        ("fail", ProcessDied("server-0", "out of memory"), ExitCode.FAIL),
        ("unknown", RuntimeError("a bug"), ExitCode.UNKNOWN),
        ("pass", RuntimeError("a bug"), ExitCode.UNKNOWN),
        ("unknown", UserError("no such folder"), ExitCode.USER),
        ("unknown", CaseError(()), ExitCode.USER),
        ("unknown", Interrupted("SIGTERM"), ExitCode.INTERRUPTED),
        ("fail", KeyboardInterrupt(), ExitCode.INTERRUPTED),
    ],
)
def test_exit_codes(outcome, error, expected):
    assert exit_code(outcome, error) is expected
