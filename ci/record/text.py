"""Write figures, clean lines and outcomes, in the same form for all reports. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.repeats import passes_in_words
from ci.connect.printed import one_line
from ci.documents.counted import counted
from ci.errors import ExitCode
from ci.judge.comparable import VOID
from ci.judge.metrics import is_score
from ci.judge.verdict import NO_BASELINE
from ci.judge.void import FOREIGN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.judge.verdict import Check
    from ci.record.model import Run

# Units of figures that are whole numbers.
_COUNTED = frozenset({"tokens", "requests"})
_REQUIRED = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}


# What a run is that belongs to a night; its id follows.
PURPOSES = {
    "control": "the last good version, measured beside",
    "again": "tonight's version once more, measured beside",
    "against-itself": "the second of two runs with the same version, after",
    "bisect": "a night of the bisection",
    "smoke": "the proof that a host serves again, for",
}


def figure(value: object, unit: str = "") -> str:
    """Write a figure: `22.50 %`; `-` if there is none."""
    if not isinstance(value, int | float):
        return "-" if value in {None, ""} else str(value)
    whole = isinstance(value, int) or (unit in _COUNTED and value.is_integer())
    number = f"{value:.0f}" if whole else f"{value:.2f}"
    if number == "1" and unit in _COUNTED:
        unit = unit.removesuffix("s")
    return f"{number} {unit}".rstrip()


def duration(seconds: object) -> str:
    """Write a duration: `3.2 s`, `2 min 05 s`, `3 h 12 min`."""
    if not isinstance(seconds, int | float):
        return "-"
    if seconds < 100:  # noqa: PLR2004 - above it, tenths do not matter
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


# The check of a run that fetched models and served nothing.
MODELS = "models"


def headline(  # noqa: PLR0913 - each is a part of the sentence
    outcome: str,
    outcomes: Sequence[str],
    *,
    new: int = 0,
    void: int = 0,
    smoke_only: bool = False,
    interrupted: bool = False,
) -> str:
    """Write the outcome in words.

    Args:
        outcome: the outcome of the run.
        outcomes: the outcome of each check.
        new: number of checks that passed because they have no baseline yet.
        void: how many of these are void, so that their figures do not count.
        smoke_only: the case has no benchmarks.
        interrupted: a signal ended the night.
    """
    checks = counted(len(outcomes), "check")
    within = _without_bound(new - void, void) or "all within tolerance"
    words = {
        "pass": f"PASS: {checks}, {within}",
        "fail": f"FAIL: {outcomes.count('fail')} of {checks} missed the bound",
        "unknown": _unknown(outcomes, checks),
        "running": "RUNNING: the night has not ended, or its controller died",
    }
    text = f"INTERRUPTED, {words[outcome]}" if interrupted else words[outcome]
    return text + (" (smoke only: the case has no benchmarks)" if smoke_only else "")


def _without_bound(new: int, void: int) -> str:
    if not new and not void:
        return ""
    whose = "its figure does" if void == 1 else "their figures do"
    parts = (
        f"{new} of them without a baseline yet" if new else "",
        f"{void} {'' if new else 'of them '}void: {whose} not count" if void else "",
    )
    return ", ".join(filter(None, parts))


def headline_of(run: Run) -> str:
    """Write the outcome of a run in words."""
    checks = [vars(check) for check in run.checks]
    text = headline(
        run.outcome,
        [check.outcome for check in run.checks],
        new=len(without_baseline(checks)),
        void=len(void_without_baseline(checks)),
        smoke_only=run.benchmarks == () and MODELS not in [check.name for check in run.checks],
        interrupted=run.exit_code == ExitCode.INTERRUPTED,
    )
    found = [check for check in run.checks if check.outcome == run.outcome != "pass"]
    own = sum(not check.same_as for check in found)
    return text if own == len(found) else f"{text}; {counted(own, 'finding')}"


def kept_servers(run: Run) -> str:
    """Say where the servers of a run keep running, or until when they did; empty if they ended."""
    if not run.kept_url:
        return ""
    if not run.kept_s:
        return f"the servers kept running at {run.kept_url} until {run.kept_until}, and have ended"
    return (
        f"the servers keep running at {run.kept_url} until {run.kept_until}; "
        f"end them with `inv down --run {run.id}`"
    )


def without_baseline(checks: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Return the checks that passed because their benchmark has no baseline yet."""
    return [check for check in checks if str(check["reason"]).startswith(NO_BASELINE)]


def void_without_baseline(checks: Sequence[Mapping[str, object]]) -> list[Mapping[str, object]]:
    """Return those of them whose figures are void: they passed, and say nothing."""
    return [
        check
        for check in without_baseline(checks)
        if str(check["reason"]).removeprefix(NO_BASELINE).startswith(f"; {VOID}")
    ]


def next_step(checks: Sequence[Mapping[str, object]]) -> str:
    """Return what to do about figures without a baseline, in one line; empty if there are none.

    Args:
        checks: each with name, metric, value and reason.
    """
    void = void_without_baseline(checks)
    new = [check for check in without_baseline(checks) if check not in void]
    return "; ".join(filter(None, (_void_step(void), _new_step(new))))


def _void_step(void: Sequence[Mapping[str, object]]) -> str:
    if not void:
        return ""
    foreign = all(FOREIGN in str(check["reason"]) for check in void)
    what = "the processes outside the run that its reason names" if foreign else "what disturbed it"
    end = "end" if foreign else "end or repair"
    return (
        f"{_names(void)}: void, so that the figure does not count: {end} {what}, and run the case "
        "again"
    )


def _new_step(new: Sequence[Mapping[str, object]]) -> str:
    wrong = [check for check in new if check["value"] == 0 and is_score(str(check["metric"]))]
    if zero := _names(wrong):
        return f"{zero}: no answer was right; read its items before you trust the 0 %"
    if names := _names(new):
        return f"{names}: from the fifth night on, the nights before are the baseline"
    return ""


def _names(checks: Sequence[Mapping[str, object]]) -> str:
    return ", ".join(dict.fromkeys(str(check["name"]) for check in checks))


def _unknown(outcomes: Sequence[str], checks: str) -> str:
    if not outcomes:
        return "UNKNOWN: nothing was checked"
    return f"UNKNOWN: {outcomes.count('unknown')} of {checks} could not be judged"


def requirement(check: Mapping[str, object]) -> str:
    """Write the requirement of a check: `at least 17.50 %`; empty if it has no bound.

    Args:
        check: as in run.json; the default of `operator`, which old records lack, is `>=`.
    """
    if check["bound"] is None:
        return ""
    words = _REQUIRED[str(check.get("operator", ">="))]
    return f"{words} {figure(check['bound'], str(check['unit']))}"


def passes_of(run: Run, check: Check) -> str:
    """Write the figures of the passes that a check is the mean of; empty if it is of one.

    Args:
        run: the record of the night.
        check: one of its checks.
    """
    first = next((each for each in run.evaluations if each.benchmark == check.name), None)
    figures = first.measurements if first else ()
    runs = next((each.runs for each in figures if each.metric == check.metric), ())
    if first is None or not runs:
        return ""
    auto = first.settings.passes_auto if first.settings else False
    listed = ", ".join(f"{value:.4g}" for value in runs)
    return f"{passes_in_words(len(runs), auto=auto)}: {listed} {check.unit}".rstrip()


def evidence_row(check: Mapping[str, object]) -> tuple[str, ...]:
    """Return a check's name, metric, interval, baseline, its source, smallest drop, p, nights.

    Args:
        check: as in run.json; old records lack what is not known.
    """
    unit = str(check["unit"])
    interval, p = check.get("interval"), check.get("p")
    bounds = [figure(each, unit) for each in interval] if isinstance(interval, tuple | list) else []
    drop = check.get("smallest_drop")
    return (
        str(check["name"]),
        str(check["metric"]),
        " to ".join(bounds),
        figure(check["baseline"], unit),
        str(check.get("source") or ""),
        "" if drop is None else figure(drop, "points" if unit == "%" else unit),
        "" if p is None else f"{p:.2g}",
        str(check.get("seen") or ""),
    )


def check_row(check: Mapping[str, object]) -> tuple[str, ...]:
    """Return a check's name, metric, value, baseline, tolerance, bound, outcome and reason."""
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
    """Return the bound for a table, with its operator unless it is `>=`."""
    operator = str(check.get("operator", ">="))
    text = figure(check["bound"], str(check["unit"]))
    return text if operator == ">=" or check["bound"] is None else f"{operator} {text}"
