"""Put the evidence of a check into its fields and into one sentence. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ci.documents.counted import counted
from ci.judge.against import measured_of
from ci.judge.baseline import NONE_YET
from ci.judge.comparable import VOID
from ci.judge.decide import TIMES
from ci.judge.expected import LEAST_NIGHTS, ExpectedLevel
from ci.judge.written import Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.baseline import Holding
    from ci.judge.evidence import Evidence, Subject
    from ci.judge.measured import Measured
    from ci.judge.scale import Scale
    from ci.judge.verdict import Check

ABOVE = "above the band: accept it? `inv baseline.accept`"
CONFIDENCE = 0.95
_SHOWN_REASONS = 2


def with_evidence(check: Check, subject: Subject, evidence: Evidence) -> Check:
    """Return a check with what was found: outcome, sentence, interval, baseline, bound.

    Args:
        check: the figure, with the remarks on its answers as the reason.
        subject: what was judged.
        evidence: what was found.
    """
    ruling, expected = evidence.ruling, evidence.ruling.expected
    tonight = measured_of(subject.tonight)
    judged = replace(
        check,
        outcome=ruling.outcome,
        p=ruling.p,
        interval=interval_of(tonight, evidence),
        seen=_seen(evidence),
    )
    if expected is not None:
        written = isinstance(expected, Written)
        bound = expected.lowest(subject.levels.fail, tonight)
        centre = expected.centre(tonight)
        judged = replace(
            judged,
            baseline=centre,
            bound=_written_bound(expected, bound) if isinstance(expected, Written) else bound,
            tolerance=check.tolerance if written else "",
            source=subject.holding.source if written else _nights(evidence),
            smallest_drop=None if bound is None else abs(centre - bound),
        )
    sentence = _sentence(judged, evidence, subject.holding)
    void = evidence.doubt.startswith(VOID)
    if void and subject.holding.value is None and not _enough(evidence):
        # There is nothing to get wrong: the check says itself what is in doubt.
        return replace(check, seen=judged.seen, interval=judged.interval)
    remarks = check.reason.removeprefix(NONE_YET).removeprefix("; ")
    if ruling.finding == "nothing to compare with":
        # A figure without a baseline passes, and says so. That of the case may hold no longer.
        judged = replace(judged, outcome="pass", baseline=None, bound=None, tolerance="")
    return replace(judged, reason="; ".join(filter(None, (sentence, remarks))))


def interval_of(tonight: Measured, evidence: Evidence) -> tuple[float, float] | None:
    """Return where the figure would lie in 95 of 100 such measurements.

    Accuracy: the exact interval of C. J. Clopper and E. S. Pearson, Biometrika 26 (1934), 404-413,
    as if its items were drawn again. Several answers to an item are worth less than as many items.
    Performance: the spread of the nights; None if it is unknown.
    """
    scale, expected = evidence.scale, evidence.ruling.expected
    if scale.kind == "accuracy":
        if tonight.n <= 0 or not 0 <= tonight.value <= 100:  # noqa: PLR2004 - percent
            return None
        from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415 - slow import

        n = _independent(tonight)
        low, high = proportion_confint(tonight.value * n / 100, n, 1 - CONFIDENCE, method="beta")
        return 100 * float(low), 100 * float(high)
    if not isinstance(expected, ExpectedLevel):
        return None
    return expected.interval(tonight, CONFIDENCE)


def _independent(tonight: Measured) -> float:
    """Return the number of independent items with the same variance as an accuracy's answers.

    The effective sample size of E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998),
    193-201, each item being a cluster of its answers.
    """
    items, passes, share = tonight.n / tonight.passes, tonight.passes, tonight.value / 100
    if passes == 1 or tonight.items is None or not 0 < share < 1:
        return items
    variance = float(np.var(tonight.items.correct / passes, ddof=1)) if items > 1 else 0.0
    independent = items * share * (1 - share) / variance if variance > 0 else tonight.n
    return min(max(independent, items), tonight.n)


def _written_bound(expected: Written, lowest: float | None) -> float | None:
    """Return the bound of a written baseline; of one that only a test decides, the test's."""
    if expected.bound is None or (expected.bound == 0 and expected.scale.kind == "accuracy"):
        return lowest
    return expected.bound


def _enough(evidence: Evidence) -> bool:
    return _nights_in(evidence) >= LEAST_NIGHTS


def _nights_in(evidence: Evidence) -> int:
    """Return the number of comparable nights; one may have measured several times."""
    return len({figure.run for figure in evidence.history.figures})


def _nights(evidence: Evidence) -> str:
    expected = evidence.ruling.expected
    first = evidence.history.figures[0].started_at[:10] if evidence.history.figures else ""
    return f"{counted(expected.nights if expected else 0, 'night')} since {first}"


def _seen(evidence: Evidence) -> str:
    """Say what the check was compared with, and what was not comparable."""
    history = evidence.history
    nights = _nights_in(evidence)
    told = [counted(nights, "comparable night")] if nights else []
    reasons = list(history.reasons.items())
    told += [f"{count} not: {reason}" for reason, count in reasons[:_SHOWN_REASONS]]
    if len(reasons) > _SHOWN_REASONS:
        told.append(f"{sum(count for _, count in reasons[_SHOWN_REASONS:])} not for other reasons")
    return "; ".join(told) or "no earlier night"


def _sentence(check: Check, evidence: Evidence, holding: Holding) -> str:
    ruling = evidence.ruling
    if evidence.doubt:
        return evidence.doubt
    again = _figures("measured again", ruling.repeats, check.unit)
    controls = _figures("the last good version tonight", ruling.controls, check.unit)
    chance = "" if ruling.p is None else f"p = {ruling.p:.2g}"
    lower = _lower(check, evidence)
    details = ", ".join(filter(None, (again, controls, chance)))
    if ruling.finding == "nothing to compare with":
        return _not_yet(evidence, holding)
    missing = "" if len(ruling.repeats) == TIMES else "measure it again"
    found = "; ".join(filter(None, (details, missing)))
    sentences = {
        "as expected": ABOVE if evidence.more else "",
        "too little to matter": f"{lower}: too little to matter",
        "fine when measured again": f"{lower} at first, and fine when measured again ({again})",
        "as the last good version": f"{lower}, and so is the last good version ({details})",
        "environment": f"{lower}, and so is the last good version: the night's fault ({details})",
        "suspect": f"suspect: {lower}, and tonight cannot tell ({found})",
    }
    return sentences.get(ruling.finding, f"{lower} ({details})" if details else lower)


def _not_yet(evidence: Evidence, holding: Holding) -> str:
    """Say that there is no baseline yet, or why that of the ledger is none for this figure."""
    nights = _nights_in(evidence)
    counted = f"{nights} of {LEAST_NIGHTS} comparable nights" if nights else ""
    why = (holding.reason or NONE_YET).removeprefix(NONE_YET).removeprefix(": ")
    details = "; ".join(filter(None, (why, counted)))
    return f"{NONE_YET}: {details}" if details else NONE_YET


def _lower(check: Check, evidence: Evidence) -> str:
    """Say how much worse the figure is than what is expected."""
    expected, scale = evidence.ruling.expected, evidence.scale
    if expected is None or check.value is None or check.baseline is None:
        return ""
    what = "the baseline" if isinstance(expected, Written) else counted(expected.nights, "night")
    better = check.value < check.baseline if scale.lower_is_better else check.value > check.baseline
    if better and check.bound is not None:
        return f"not worse than {what}, but not within {check.bound:.4g} {check.unit}"
    return f"{_size(check, check.value, check.baseline, scale)} than {what}"


def _size(check: Check, value: float, baseline: float, scale: Scale) -> str:
    """Write how much worse a figure is, in its own way: `3 points lower`, `4 % longer`."""
    apart = abs(value - baseline)
    if scale.kind == "count":
        return f"{apart:.3g} {check.unit} {'more' if scale.lower_is_better else 'fewer'}"
    times = check.unit in {"ms", "s"}
    word = ("longer" if times else "higher") if scale.lower_is_better else "lower"
    if scale.kind != "performance":
        return f"{apart:.3g} points {word}"
    if not baseline:
        return f"{apart:.3g} {check.unit} {word}"
    return f"{100 * abs(value / baseline - 1):.3g} % {word}"


def _figures(what: str, runs: Sequence[Measured], unit: str) -> str:
    listed = ", ".join(f"{run.value:.4g}" for run in runs)
    return f"{what}: {listed} {unit}" if runs else ""
