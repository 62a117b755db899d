"""Write the realised number of false alarms, as a table and as values for JSON. Pure."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.history.rates import Rate, total_of
from ci.report.table import as_text, fold

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.history.rates import Counts

DAYS = 30
HEADINGS = (
    *(f"last {DAYS} days", "nights", "checks judged", "failed", "taken back"),
    *("accepted a month", "against itself"),
)


def rates_text(rates: Sequence[Rate], width: int | None) -> str:
    """Write a line for each case, and one for all; empty without a night in these days.

    Args:
        rates: of the cases.
        width: of the terminal in columns; None for no limit.
    """
    if not rates:
        return ""
    total = total_of(rates)
    rows = [(each.case, *_cells(each)) for each in rates]
    rows += [("all cases", *_cells(total))] * (len(rates) > 1)
    return f"\n{as_text(HEADINGS, rows, width)}{fold(_sentence(total), width)}\n"


def _cells(rate: Rate) -> tuple[str, ...]:
    counts, itself = rate.counts, rate.itself
    shown = (counts.nights, counts.checks, counts.failed, counts.taken_back)
    against = f"{itself.failed} of {itself.checks} failed" if itself.nights else "-"
    return (*map(str, shown), f"{rate.accepted:g}", against)


def _sentence(total: Rate) -> str:
    """Say how many false alarms there were, of how many that are accepted."""
    alarms = total.counts.taken_back
    counted = "1 false alarm" if alarms == 1 else f"{alarms} false alarms"
    more = ", more than is accepted" if alarms > total.accepted else ""
    words = (
        f"{counted} in {DAYS} days, of {total.accepted:g} accepted a month{more}: failures whose "
        "run was accepted or rejected later"
    )
    return words + _of_itself(total.itself)


def _of_itself(counts: Counts) -> str:
    if not counts.nights:
        return ""
    return f"; {counts.failed} of {counts.checks} checks of vLLM against itself failed"


def rates_values(rates: Sequence[Rate], case: str) -> dict[str, Any]:
    """Return the counts of a case as values for JSON; zeros without a night in these days."""
    rate = next((each for each in rates if each.case == case), Rate(case))
    return {**asdict(rate.counts), "accepted": rate.accepted, "against_itself": asdict(rate.itself)}
