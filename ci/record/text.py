"""What a reader sees, whichever report it stands in: figures, clean lines, the outcome. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.judge.verdict import NO_BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REQUIRED = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}


def figure(value: object, unit: str = "") -> str:
    """Say a figure as a reader wants it: `22.50 %`, `-` when there is none."""
    if not isinstance(value, int | float):
        return "-" if value in {None, ""} else str(value)
    number = f"{value:.0f}" if isinstance(value, int) else f"{value:.2f}"
    return f"{number} {unit}".rstrip()


def duration(seconds: object) -> str:
    """Say seconds as a reader wants them: `3.2 s`, `2 min 05 s`, `3 h 12 min`."""
    if not isinstance(seconds, int | float):
        return "-"
    if seconds < 100:  # noqa: PLR2004 - up to here tenths are worth reading
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def headline(
    outcome: str,
    outcomes: Sequence[str],
    *,
    new: int = 0,
    smoke_only: bool = False,
    interrupted: bool = False,
) -> str:
    """Say the outcome in words.

    Args:
        outcome: of the run.
        outcomes: of each check.
        new: how many passed because they have no baseline yet.
        smoke_only: the case has no benchmarks.
        interrupted: the night was told to stop.
    """
    checks = "1 check" if len(outcomes) == 1 else f"{len(outcomes)} checks"
    within = f"{new} of them without a baseline yet" if new else "all within tolerance"
    words = {
        "pass": f"PASS: {checks}, {within}",
        "fail": f"FAIL: {outcomes.count('fail')} of {checks} missed the bound",
        "unknown": _unknown(outcomes, checks),
        "running": "RUNNING: the night has not ended, or its controller died",
    }
    told = f"INTERRUPTED, {words[outcome]}" if interrupted else words[outcome]
    return told + (" (smoke only: the case has no benchmarks)" if smoke_only else "")


def without_baseline(checks: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Choose the checks that passed because their benchmark has no baseline yet."""
    return [check for check in checks if check["reason"] == NO_BASELINE]


def next_step(checks: Sequence[Mapping[str, object]]) -> str:
    """Give the next step about figures without a baseline, in one line; empty where there are none.

    Args:
        checks: name, value and reason of each.
    """
    new = without_baseline(checks)
    names, zero = (
        ", ".join(str(check["name"]) for check in some)
        for some in (new, [check for check in new if check["value"] == 0])
    )
    if zero:
        return f"{zero}: no answer was right; read its items before you trust the 0 %"
    if names:
        return f"{names}: once several nights agree, write baseline and threshold into the case"
    return ""


def _unknown(outcomes: Sequence[str], checks: str) -> str:
    if not outcomes:
        return "UNKNOWN: nothing was checked"
    return f"UNKNOWN: {outcomes.count('unknown')} of {checks} could not be judged"


def requirement(check: Mapping[str, object]) -> str:
    """Say what a check asks of its figure: `at least 17.50 %`; empty where it asks for nothing.

    Args:
        check: as in run.json; one without `operator`, of an older run, asks for at least its bound.
    """
    if check["bound"] is None:
        return ""
    words = _REQUIRED[str(check.get("operator", ">="))]
    return f"{words} {figure(check['bound'], str(check['unit']))}"


def check_row(check: Mapping[str, object]) -> tuple[str, ...]:
    """Lay a check out: name, metric, value, baseline, tolerance, bound, outcome, reason."""
    unit = str(check["unit"])
    return (
        str(check["name"]),
        str(check["metric"]),
        figure(check["value"], unit),
        figure(check["baseline"], unit),
        str(check["tolerance"]) or "-",
        _bound(check),
        str(check["outcome"]),
        one_line(str(check["reason"])),
    )


def _bound(check: Mapping[str, object]) -> str:
    """The bound as a cell of a table; what is not a least value says so."""
    operator = str(check.get("operator", ">="))
    text = figure(check["bound"], str(check["unit"]))
    return text if operator == ">=" or check["bound"] is None else f"{operator} {text}"
