"""Compare measurements with thresholds, and give the verdict. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from ci.case.known_metrics import MAIN
from ci.case.model import Operator  # noqa: TC001 - pydantic reads it for stored checks
from ci.case.without_router import name_without_router
from ci.errors import ExitCode, Interrupted, LamplighterError
from ci.judge.asked import Asked, asked_in
from ci.judge.figures import disturbance, remark, valid_figure, void_reason
from ci.judge.paired import SIGNIFICANCE, compare_items

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.case.metric_entry import MetricEntry
    from ci.case.model import Comparison
    from ci.judge.asked import Expectation
    from ci.tools.model import Result

Outcome = Literal["pass", "fail", "unknown"]


ABOVE_THE_BAND = "above the band: baseline looks stale"
NO_BASELINE = "no baseline yet"
OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge}

# Binary floats cannot hold the decimals that bounds are computed from: 0.7 * 8.3 is slightly more
# than 5.81, so a run that measured 5.81 would fail. Tools do not measure as exactly as this.
EPSILON = 1e-9


@dataclass(frozen=True)
class Check:
    """A figure compared with its threshold.

    Attributes:
        name: the benchmark, or another check (`smoke`, `ready`).
        metric: e.g. `accuracy`, `output_token_throughput`.
        value: the measured figure; None if missing.
        unit: unit of value, baseline and bound: `%` or `tok/s`.
        baseline: from the case; None if it has none.
        tolerance: for readers: `-5 pp`, `×0.97`; empty without a baseline.
        bound: the figure that the value is compared with; None if there is none.
        outcome: pass, fail or unknown.
        reason: one line; empty for a plain pass, `NO_BASELINE` for a pass without a baseline.
        operator: the check passes if `value operator bound` is true.
        interval: where the value would lie in 95 of 100 such nights; None if unknown.
        source: where the baseline comes from: nights, or file and line.
        smallest_drop: the smallest loss that this night could have shown; None if unknown.
        p: probability of the evidence, were nothing changed; None if nothing was compared.
        seen: how many earlier nights were comparable, and why others were not.
        same_as: the figure of the same benchmark that this is one finding with; empty if it is a
            finding of its own, or none.
    """

    name: str
    metric: str
    value: float | None
    unit: str
    baseline: float | None
    tolerance: str
    bound: float | None
    outcome: Outcome
    reason: str = ""
    operator: Operator = ">="
    interval: tuple[float, float] | None = None
    source: str = ""
    smallest_drop: float | None = None
    p: float | None = None
    seen: str = ""
    same_as: str = ""


@dataclass(frozen=True)
class Verdict:
    """The night's outcome: fail > unknown > pass; unknown if nothing was checked."""

    outcome: Outcome
    checks: tuple[Check, ...]


def judge(  # noqa: PLR0913 - each is a part of a case, or of a night
    benchmarks: Sequence[Expectation],
    results: Mapping[str, Result],
    *,
    cause: str = "",
    extra: tuple[Check, ...] = (),
    comparisons: Sequence[Comparison] = (),
    startup: Mapping[str, MetricEntry] = MappingProxyType({}),
) -> Verdict:
    """Compare every benchmark's figures with their thresholds, and pairs of figures.

    A benchmark that was also measured without the router has one more check.

    Args:
        benchmarks: the case's benchmarks; each figure that the case names becomes a check, even if
            the benchmark never ran.
        results: name of the benchmark → result; `startup` → the figures of the servers' start.
        cause: the error that ended the night early, in one line; empty if there is none. With a
            cause the verdict is never a pass.
        extra: other checks, e.g. the smoke test; they come first in the verdict.
        comparisons: pairs of figures that the case compares.
        startup: the figures of the servers' start that are judged.
    """
    figures = asked_in(benchmarks, startup)
    checks = (check(asked, results.get(asked.name), cause) for asked in figures)
    twice = (benchmark.name for benchmark in benchmarks if benchmark.without_router)
    paired = (compare_without_router(name, results, cause) for name in twice)
    compared = (compare(comparison, results, cause) for comparison in comparisons)
    return degrade_if_ended_early(combine((*extra, *checks, *paired, *compared)), cause)


def combine(checks: tuple[Check, ...]) -> Verdict:
    """Combine checks: fail > unknown > pass; unknown if there are none."""
    outcomes = {check.outcome for check in checks}
    if "fail" in outcomes:
        return Verdict("fail", checks)
    return Verdict("pass" if outcomes == {"pass"} else "unknown", checks)


def degrade_if_ended_early(verdict: Verdict, cause: str) -> Verdict:
    """Change a pass to unknown if a cause ended the night early."""
    if not cause or (verdict.checks and verdict.outcome != "pass"):
        return verdict
    incomplete = Check("night", "completed", None, "", None, "", None, "unknown", cause)
    return combine((*verdict.checks, incomplete))


def check(asked: Asked, result: Result | None, cause: str = "") -> Check:
    """Compare a figure with its threshold.

    Accuracy passes at `baseline - threshold` percentage points or more; other figures pass at
    `threshold * baseline` or better. A better value never fails. Without a baseline every valid
    figure passes, with the reason `NO_BASELINE`. The reason of an accuracy also counts the answers
    that were cut or empty.

    A figure of performance that is void is not compared with a baseline: the outcome is unknown.
    Without a baseline there is nothing to get wrong, and the reason only says so.
    """
    judged = not_compared(asked, result, cause)
    if judged.value is None or judged.baseline is None or judged.bound is None:
        return judged
    if judged.outcome == "unknown":
        return judged
    outcome, reason = _compare(judged.value, asked, judged.baseline, judged.bound)
    return replace(judged, outcome=outcome, reason="; ".join(filter(None, (reason, judged.reason))))


def not_compared(asked: Asked, result: Result | None, cause: str = "") -> Check:
    """Return a figure with its baseline and bound, which it is not compared with.

    A valid figure passes, and its reason has nothing but the remarks on it.

    Args:
        asked: the figure.
        result: of its benchmark; None if it never ran.
        cause: as for `judge`.
    """
    metric, unit = asked.metric, asked.unit
    measured, doubt = valid_figure(asked.name, metric, result, cause, unit)
    value = measured.value if measured else None
    judged = Check(asked.name, metric, value, unit, None, "", None, "unknown", doubt)
    if asked.lower_is_better:
        judged = replace(judged, operator="<=")
    accuracy = asked.case_type == "accuracy"
    # A performance run that ignores the end of the text cuts every answer.
    remarks = remark(result) if metric == MAIN["accuracy"] else ""
    void = disturbance(result) if accuracy else void_reason(result)
    remarks = "; ".join(filter(None, (remarks, void)))
    if doubt and void:
        judged = replace(judged, reason=f"{doubt}; {void}")
    bound = asked.bound
    if asked.expected is None or bound is None:
        reason = "; ".join(filter(None, (NO_BASELINE, remarks)))
        return judged if value is None else replace(judged, outcome="pass", reason=reason)
    baseline, _ = asked.expected
    judged = replace(judged, baseline=baseline, tolerance=asked.tolerance, bound=bound)
    if value is None:
        return judged
    if void and not accuracy:
        return replace(judged, reason=void)
    return replace(judged, outcome="pass", reason=remarks)


def compare(comparison: Comparison, results: Mapping[str, Result], cause: str = "") -> Check:
    """Compare the figures of two benchmarks: `target` `operator` `ratio` × `baseline`.

    The outcome is unknown if a figure is missing or void, or its benchmark had a problem.
    """
    figures = {
        name: valid_figure(name, comparison.metric, results.get(name), cause)
        for name in (comparison.target, comparison.baseline)
    }
    target, baseline = figures[comparison.target][0], figures[comparison.baseline][0]
    bound = comparison.ratio * baseline.value if baseline else None
    outcome: Outcome = "unknown"
    reason = doubt = next((f"{name}: {why}" for name, (_, why) in figures.items() if why), "")
    if target and baseline and bound is not None:
        same = _same(target.value, bound)
        ordered = OPERATORS[comparison.operator](target.value, bound)
        holds = "=" in comparison.operator if same else ordered
        outcome = "pass" if holds else "fail"
        reason = "" if holds else f"{target.value:.4g} is not {comparison.operator} {bound:.4g}"
    voids = [void for name in figures if (void := void_reason(results.get(name)))]
    if voids and not doubt:
        outcome, reason = "unknown", voids[0]
    return Check(
        name=f"{comparison.target} against {comparison.baseline}",
        metric=comparison.metric,
        value=target.value if target else None,
        unit=target.unit if target else "",
        baseline=baseline.value if baseline else None,
        tolerance=f"{comparison.operator} ×{comparison.ratio:g}",
        bound=bound,
        outcome=outcome,
        reason=reason,
        operator=comparison.operator,
    )


def compare_without_router(name: str, results: Mapping[str, Result], cause: str = "") -> Check:
    """Compare the items of a benchmark through the router and without it.

    The outcome is unknown if a figure is missing, its benchmark had a problem, or the items are not
    pairs.

    Args:
        name: of the benchmark.
        results: name of the benchmark → result; also of the measurement without the router.
        cause: as for `judge`.
    """
    metric, unit = MAIN["accuracy"], "%"
    direct = name_without_router(name)
    figures = {
        each: valid_figure(each, metric, results.get(each), cause, unit) for each in (name, direct)
    }
    values = [figure.value if figure else None for figure, _ in figures.values()]
    reason = next((f"{each}: {doubt}" for each, (_, doubt) in figures.items() if doubt), "")
    outcome: Outcome = "unknown"
    if not reason:
        items = (results[name].items, results[direct].items)
        outcome, reason = compare_items(*items, ("through the router", "without it"))
    return Check(
        name=f"{name} through and without the router",
        metric=metric,
        value=values[0],
        unit=unit,
        baseline=values[1],
        tolerance=f"p ≥ {SIGNIFICANCE:g}",
        bound=None,
        outcome=outcome,
        reason=reason,
    )


def exit_code(outcome: Outcome, error: BaseException | None = None) -> ExitCode:
    """Return the exit code of `inv nightly`.

    Args:
        outcome: the outcome of the verdict.
        error: the error that ended the night early, if any. An interrupt and an operator's mistake
            have their own exit codes. After any other error a failure stays a failure, and
            everything else is unknown.
    """
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return ExitCode.INTERRUPTED
    if isinstance(error, LamplighterError) and error.exit_code is not ExitCode.UNKNOWN:
        return error.exit_code
    if outcome == "fail":
        return ExitCode.FAIL
    return ExitCode.PASS if outcome == "pass" and error is None else ExitCode.UNKNOWN


def _compare(value: float, asked: Asked, baseline: float, bound: float) -> tuple[Outcome, str]:
    lower = asked.lower_is_better
    worse = value > bound if lower else value < bound
    if worse and not _same(value, bound):
        unit, side = "pp" if asked.unit == "%" else asked.unit, "above" if lower else "below"
        return "fail", f"{abs(bound - value):.4g} {unit} {side} the bound"
    best = baseline - abs(baseline - bound) * (1 if lower else -1)
    better = value < best if lower else value > best
    return "pass", ABOVE_THE_BAND if better and not _same(value, best) else ""


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=EPSILON, abs_tol=EPSILON)
