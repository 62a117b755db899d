"""Say in plain words what a check will do, and what to change. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.repeats import passes_in_words
from ci.judge.better_band import WANTED
from ci.judge.prospect import DROPS, HEALTHY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.judge.planned import PlannedCheck
    from ci.judge.prospect import Prospect

# Shares of nights: a loss that is found in fewer cannot be seen.
BLIND = 0.5
NUMBER = "write num_prompts, the number of items that are asked"


def sentence(prospect: Prospect) -> str:
    """Say in a sentence what a check will do, first of all what is wrong with it."""
    check, large = prospect.check, DROPS[-1]
    unit, found = unit_of(check), {drop: each.fails for drop, each in prospect.judged.items()}
    if found[large] < BLIND:
        sees = f"finds a loss of {large:g} {unit} only in {of_100(found[large])}{_with(check)}"
    else:
        losses = (f"{drop:g} {unit} in {of_100(found[drop])}" for drop in (WANTED, large))
        sees = f"finds a loss of {', of '.join(losses)}"
    least = "no loss" if prospect.shown is None else f"{prospect.shown:.1f} {unit} or more"
    return f"{_of_band(prospect)}; after ten nights the judge {sees}; one night alone shows {least}"


def _with(check: PlannedCheck) -> str:
    passes = passes_in_words(check.passes)
    if check.kind == "performance":
        return f" with {check.noise:g} % noise in {passes}"
    return f" with {check.items:,} items in {passes}"


def _of_band(prospect: Prospect) -> str:
    check, unit, large = prospect.check, unit_of(prospect.check), DROPS[-1]
    if check.bound is None:
        return "no baseline yet, so that every figure passes"
    if prospect.fault == "never fails":
        return f"no night fails: the bound is {check.shown_bound:.4g}"
    healthy = prospect.band[HEALTHY]
    if prospect.fault == "too narrow":
        return f"the band fails a model as good as its baseline in {of_100(healthy)}"
    if prospect.fault == "too wide":
        return f"the band passes a loss of {large:g} {unit} in {of_100(1 - prospect.band[large])}"
    finds = f"finds a loss of {WANTED:g} {unit} in {of_100(prospect.band[WANTED])}"
    return f"the band fails {percent(healthy)} of healthy nights, and {finds}"


def proposals(prospect: Prospect) -> Iterator[str]:
    """Say what to change in the case file."""
    check, unit, large = prospect.check, unit_of(prospect.check), DROPS[-1]
    if check.bound is None:
        yield "give baseline and threshold once healthy nights are known, or leave it to the judge"
    elif prospect.threshold is not None:
        never = check.kind == "performance" and prospect.fault == "never fails"
        yield (
            f"{'the baseline of a healthy night, and ' if never else ''}"
            f"threshold: {prospect.threshold:g} fails {percent(prospect.proposed[HEALTHY])} of "
            f"healthy nights, and finds a loss of {WANTED:g} {unit} in "
            f"{of_100(prospect.proposed[WANTED])}, of {large:g} in "
            f"{of_100(prospect.proposed[large])}"
        )
    elif prospect.fault:
        yield f"no threshold does better{_with(check)}"
    seeing = prospect.seeing
    if seeing is None:
        yield f"even 64 passes a night do not let the judge find a loss of {WANTED:g} {unit}"
    elif seeing != check:
        finds = f"the judge finds a loss of {WANTED:g} {unit} in over 90 of 100 nights"
        yield f"{_more(check, seeing)}: {finds}"


def _more(check: PlannedCheck, seeing: PlannedCheck) -> str:
    parts = []
    if seeing.items != check.items:
        parts.append(f"num_prompts: {seeing.items}")
    if seeing.passes != check.passes:
        parts.append(f"repeats: {seeing.passes}")
    return " and ".join(parts)


def unit_of(check: PlannedCheck) -> str:
    """Return the unit of a loss."""
    return "points" if check.kind == "accuracy" else "%"


def of_100(share: float) -> str:
    """Write a share of nights as a number of a hundred of them."""
    if share in {0, 1}:
        return "every night" if share else "no night"
    return f"{_digits(share)} of 100 nights"


def _digits(share: float) -> str:
    """Write a hundred times a share, with more digits at both ends."""
    if 0 < share < 0.0001:  # noqa: PLR2004 - 0.01 %
        return "< 0.01"
    if 0.999 < share < 1:  # noqa: PLR2004 - 99.9 %
        return "> 99.9"
    decimals = 0 if 0.1 <= share <= 0.95 else 1 if share >= 0.001 else 2  # noqa: PLR2004
    return f"{100 * share:.{decimals}f}".removesuffix(".0") if share else "0"


def percent(share: float) -> str:
    """Write a share in percent."""
    return f"{_digits(share)} %"
