"""Measurements × thresholds → Verdict. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Literal, Protocol

from ci.case.model import Operator  # noqa: TC001 - pydantic reads it, of a stored check
from ci.errors import ExitCode, Interrupted, LamplighterError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.case.model import Comparison
    from ci.tools.model import Measurement, Result

Outcome = Literal["pass", "fail", "unknown"]


class Expectation(Protocol):
    """A benchmark as far as it is judged: a case's own, or one of a stored record."""

    @property
    def name(self) -> str:
        """Under which its figures stand."""

    @property
    def case_type(self) -> Literal["accuracy", "performance"]:
        """What is measured."""

    @property
    def expected(self) -> tuple[float, float] | None:
        """The baseline and its threshold; None where there are none yet."""


ABOVE_THE_BAND = "above the band: baseline looks stale"
NO_BASELINE = "no baseline yet"
NOTHING_CAME = "no token came back"
METRICS = {"accuracy": ("accuracy", "%"), "performance": ("output_token_throughput", "tok/s")}
FULL_MARKS = 100.0
OPERATORS = {"<": lt, "<=": le, ">": gt, ">=": ge}

# Bounds are computed from decimals that binary floats cannot hold: 0.7 * 8.3 comes out a hair
# above 5.81, and would fail a run that measured 5.81. A billionth is far below any tool's figure.
EPSILON = 1e-9


@dataclass(frozen=True)
class Check:
    """One figure held against its threshold.

    Attributes:
        name: the benchmark, or what else was proved (`smoke`, `ready`).
        metric: e.g. `accuracy`, `output_token_throughput`.
        value: what was measured, None when missing.
        unit: of value, baseline and bound: `%` or `tok/s`.
        baseline: from the case; None where it has none.
        tolerance: as a reader says it: `-5 pp`, `×0.97`; empty without a baseline.
        bound: what the value is compared with; None where nothing is asked for.
        outcome: pass, fail or unknown.
        reason: one line; empty for a plain pass, `NO_BASELINE` for one without a baseline.
        operator: passes where `value operator bound` holds.
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


@dataclass(frozen=True)
class Verdict:
    """The night's outcome: fail > unknown > pass, and unknown when nothing was checked."""

    outcome: Outcome
    checks: tuple[Check, ...]


def judge(
    benchmarks: Sequence[Expectation],
    results: Mapping[str, Result],
    *,
    cause: str = "",
    extra: tuple[Check, ...] = (),
    comparisons: Sequence[Comparison] = (),
) -> Verdict:
    """Hold every benchmark's figure against its threshold, and some against each other.

    Args:
        benchmarks: what the case asks for; each one becomes a check, reached or not.
        results: what came back, by benchmark name.
        cause: in one line, what ended the night early; empty when nothing did. With a cause the
            verdict is never a pass.
        extra: what else was proved, e.g. the smoke probe; comes first in the verdict.
        comparisons: what the case says of two benchmarks' figures.
    """
    checks = (check(benchmark, results.get(benchmark.name), cause) for benchmark in benchmarks)
    compared = (compare(one, results, cause) for one in comparisons)
    return marred(combine((*extra, *checks, *compared)), cause)


def combine(checks: tuple[Check, ...]) -> Verdict:
    """Sum checks up: fail > unknown > pass, and no check at all is unknown."""
    outcomes = {check.outcome for check in checks}
    if "fail" in outcomes:
        return Verdict("fail", checks)
    return Verdict("pass" if outcomes == {"pass"} else "unknown", checks)


def marred(verdict: Verdict, cause: str) -> Verdict:
    """Give the verdict of a night that `cause` ended early: with a cause, a pass is unknown."""
    if not cause or (verdict.checks and verdict.outcome != "pass"):
        return verdict
    broken = Check("night", "completed", None, "", None, "", None, "unknown", cause)
    return combine((*verdict.checks, broken))


def check(benchmark: Expectation, result: Result | None, cause: str = "") -> Check:
    """Hold one benchmark's figure against its threshold.

    Accuracy passes at `baseline - threshold` percentage points or more; performance passes at
    `threshold * baseline` output tokens per second or more. A better value never fails. Without a
    baseline every figure passes that is sound, as `NO_BASELINE`.
    """
    metric, unit = METRICS[benchmark.case_type]
    value, doubt = _figure(benchmark, result, cause)
    made = Check(benchmark.name, metric, value, unit, None, "", None, "unknown", doubt)
    if benchmark.expected is None:
        return made if value is None else replace(made, outcome="pass", reason=NO_BASELINE)
    baseline, threshold = benchmark.expected
    accuracy = benchmark.case_type == "accuracy"
    bound = baseline - threshold if accuracy else threshold * baseline
    tolerance = f"{-threshold:+g} pp" if accuracy else f"×{threshold:g}"
    made = replace(made, baseline=baseline, tolerance=tolerance, bound=bound)
    if value is None:
        return made
    outcome, reason = _compare(value, baseline, bound, unit)
    return replace(made, outcome=outcome, reason=reason)


def compare(comparison: Comparison, results: Mapping[str, Result], cause: str = "") -> Check:
    """Hold one benchmark's figure against another's: `target` `operator` `ratio` × `baseline`.

    Unknown when either is missing, or its benchmark had a problem.
    """
    target, target_doubt = _one(comparison.target, comparison.metric, results, cause)
    baseline, baseline_doubt = _one(comparison.baseline, comparison.metric, results, cause)
    bound = comparison.ratio * baseline.value if baseline else None
    outcome: Outcome = "unknown"
    reason = target_doubt or baseline_doubt
    if target and baseline and bound is not None:
        same = _same(target.value, bound)
        ordered = OPERATORS[comparison.operator](target.value, bound)
        holds = "=" in comparison.operator if same else ordered
        outcome = "pass" if holds else "fail"
        reason = "" if holds else f"{target.value:.4g} is not {comparison.operator} {bound:.4g}"
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


def exit_code(outcome: Outcome, error: BaseException | None = None) -> ExitCode:
    """Say what `inv nightly` exits with.

    Args:
        outcome: of the verdict.
        error: what ended the night early, if anything did. Being interrupted and an operator's
            mistake have exit codes of their own; anything else keeps a failure found before it
            (fail > unknown), and is unknown otherwise.
    """
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return ExitCode.INTERRUPTED
    if isinstance(error, LamplighterError) and error.exit_code is not ExitCode.UNKNOWN:
        return error.exit_code
    if outcome == "fail":
        return ExitCode.FAIL
    return ExitCode.PASS if outcome == "pass" and error is None else ExitCode.UNKNOWN


def _figure(benchmark: Expectation, result: Result | None, cause: str) -> tuple[float | None, str]:
    """Find the one figure to judge, or the reason why there is none."""
    metric, unit = METRICS[benchmark.case_type]
    measured, doubt = _measured(benchmark.name, metric, result, cause)
    doubt = doubt or (_doubt(measured, unit) if measured else "")
    return (None, doubt) if doubt or not measured else (measured.value, "")


def _measured(
    name: str, metric: str, result: Result | None, cause: str
) -> tuple[Measurement | None, str]:
    """Find the one measurement of a metric, or the reason why there is none."""
    if result is None:
        return None, f"never reached: {cause}" if cause else "never reached"
    if result.problems:
        return None, "; ".join(result.problems)
    found = [one for one in result.measurements if one.metric == metric and one.benchmark == name]
    if len(found) != 1:
        return None, f"{metric} was measured {len(found)} times" if found else f"no {metric} in it"
    if result.items and all(item.tokens == 0 for item in result.items):
        return None, NOTHING_CAME
    return found[0], ""


def _one(
    name: str, metric: str, results: Mapping[str, Result], cause: str
) -> tuple[Measurement | None, str]:
    """Find one side of a comparison, or the reason why it cannot be used."""
    measured, doubt = _measured(name, metric, results.get(name), cause)
    doubt = doubt or (_doubt(measured, measured.unit) if measured else "")
    return (None, f"{name}: {doubt}") if doubt else (measured, "")


def _doubt(measurement: Measurement, unit: str) -> str:
    """Say why a figure cannot be what it claims to be; empty when it can."""
    value = measurement.value
    if not math.isfinite(value):
        return f"{measurement.metric} came back as {value}"
    if measurement.unit != unit:
        return f"{measurement.metric} came in {measurement.unit!r}, expected {unit!r}"
    if measurement.n <= 0:
        return f"{measurement.metric} was measured over no item"
    if unit == "%" and not 0 <= value <= FULL_MARKS:
        return f"{measurement.metric} of {value:g} % is outside 0 to 100"
    if unit != "%" and value <= 0:
        return f"{measurement.metric} of {value:g} {unit}: {NOTHING_CAME}"
    return ""


def _compare(value: float, baseline: float, bound: float, unit: str) -> tuple[Outcome, str]:
    if value < bound and not _same(value, bound):
        return "fail", f"{bound - value:.4g} {'pp' if unit == '%' else unit} below the bound"
    upper = baseline + abs(baseline - bound)
    if value > upper and not _same(value, upper):
        return "pass", ABOVE_THE_BAND
    return "pass", ""


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=EPSILON, abs_tol=EPSILON)
