"""Rules for the bands of baseline and threshold: what they do on healthy and on bad nights. Pure.

scipy is imported only where a case has a band.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.known_metrics import MAIN
from ci.case.repeats import passes_in_words
from ci.check.benchmark_rules import (
    cannot_fail,
    is_warm_up,
    key_of,
    percent,
    threshold_above_one,
)
from ci.check.diagnostic import Remark
from ci.judge.asked import asked_in
from ci.tools.aisbench import unstreamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject
    from ci.judge.planned import PlannedCheck


# With more items and a threshold of 0, the baseline is meant for the least that is good enough.
FEW_ITEMS = 200


def narrow_band(subject: Subject) -> Iterator[Remark]:
    """Report a threshold at which over 1 of 20 healthy nights fails."""
    for key, check in _bands(subject):
        from ci.judge.band import fails, fault  # noqa: PLC0415 - slow

        is_least = check.bound == check.baseline and check.items > FEW_ITEMS
        if fault(check) == "too narrow" and not is_least:
            nights = f"{_of_100(fails(check))} nights of a model as good as its baseline"
            yield Remark(key, f"{_with(check)}, {nights} fail; {_advice(check)}")


def wide_band(subject: Subject) -> Iterator[Remark]:
    """Report a threshold at which a loss of 10 points or percent passes, while others find it.

    Only of main figures: how much a latency differs, and its p99 above all, nobody knows before.
    """
    for key, check in _bands(subject, further=False):
        from ci.judge.band import LARGE_LOSS, fails, fault  # noqa: PLC0415 - slow
        from ci.judge.better_band import better_threshold  # noqa: PLC0415 - slow

        if fault(check) == "too wide" and better_threshold(check) is not None:
            passed = f"{_of_100(1 - fails(check, LARGE_LOSS))} nights"
            loss = f"{LARGE_LOSS:g} {_unit(check)}"
            yield Remark(
                key, f"{_with(check)}, {passed} with a loss of {loss} pass; {_advice(check)}"
            )


def _bands(subject: Subject, *, further: bool = True) -> Iterator[tuple[str, PlannedCheck]]:
    """Yield the key of each threshold and its check, but for those that another rule reports.

    Args:
        subject: the case.
        further: also the figures that are not the main one of their benchmark.
    """
    case = subject.case
    if not any(asked.expected for asked in asked_in(case.benchmarks, case.startup)):
        return
    from ci.check import planned_checks as before  # noqa: PLC0415 - slow

    rules = (percent, cannot_fail, threshold_above_one)
    reported = {remark.key.rpartition(".")[0] for rule in rules for remark in rule(subject)}
    left_out = {each.name for each in case.benchmarks if is_warm_up(each) or unstreamed(each)}
    for planned in before.planned_checks(case, before.Assumptions()):
        key, asked = key_of(subject, planned.asked), planned.asked
        if key in reported or asked.expected is None or asked.name in left_out:
            continue
        if not further and asked.metric not in MAIN.values():
            continue
        if planned.unknown not in {before.NO_ITEMS, before.NO_NOISE}:
            yield f"{key}.threshold", planned.check


def _with(check: PlannedCheck) -> str:
    if check.kind == "performance":
        times = f" in {passes_in_words(check.passes)}" if check.passes > 1 else ""
        return f"at {check.noise:g} % noise{times}"
    return f"with {check.trials:,} independent answers"


def _advice(check: PlannedCheck) -> str:
    """Advise a better threshold, with what it does."""
    from ci.judge.band import LARGE_LOSS, fails  # noqa: PLC0415 - slow
    from ci.judge.better_band import better_threshold, with_threshold  # noqa: PLC0415 - slow

    threshold = better_threshold(check)
    if threshold is None:
        return "raise num_prompts; `inv thresholds` says how far"
    better = with_threshold(check, threshold)
    healthy, found = _of_100(fails(better)), f"{100 * fails(better, LARGE_LOSS):.0f}"
    loss = f"{LARGE_LOSS:g} {_unit(check)}"
    does = f"fails {healthy} healthy nights, and {found} with a loss of {loss}"
    return f"write {threshold:g}, which {does}"


def _of_100(share: float) -> str:
    number = 100 * share
    return f"{number:.0f} of 100" if number >= 10 else f"{number:.1g} of 100"  # noqa: PLR2004


def _unit(check: PlannedCheck) -> str:
    return "points" if check.kind == "accuracy" else "%"
