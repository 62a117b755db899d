"""Write what checks will do as text and as JSON: a table, a sentence and a proposal for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.commands.thresholds_words import NUMBER, percent, proposals, sentence
from ci.judge.prospect import DROPS, HEALTHY
from ci.report import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.judge.planned import PlannedCheck
    from ci.judge.power import Power
    from ci.judge.prospect import Prospect

HEADINGS = (
    "check",
    "judged by",
    "healthy nights fail",
    *(f"finds {d:g}" for d in DROPS),
    "more runs",
)


@dataclass(frozen=True)
class Row:
    """A check of a case.

    Attributes:
        name: of the benchmark; of a further figure, followed by its metric.
        check: what is known of it.
        prospect: what it will do; None if nothing can be said.
        unknown: why not.
    """

    name: str
    check: PlannedCheck
    prospect: Prospect | None
    unknown: str = ""

    @property
    def sentence(self) -> str:
        """Say in a sentence what the check will do."""
        return sentence(self.prospect) if self.prospect else self.unknown

    @property
    def proposals(self) -> list[str]:
        """Say what to change in the case file."""
        if self.prospect:
            return list(proposals(self.prospect))
        return [NUMBER] if self.check.kind == "accuracy" else []


def as_text(rows: Sequence[Row], width: int | None) -> str:
    """Return a table of all checks, and a sentence and a proposal for each of them.

    Args:
        rows: the checks of a case.
        width: of the terminal; None for full width.
    """
    cells = [cells for row in rows if row.prospect for cells in _cells(row.name, row.prospect)]
    lines = []
    for row in rows:
        lines += ["", table.fold(f"{row.name}: {row.sentence}", width)]
        lines += [table.fold(f"  → {each}", width) for each in row.proposals]
    return (table.as_text(HEADINGS, cells, width) if cells else "") + "\n".join([*lines, ""])


def _cells(name: str, prospect: Prospect) -> Iterator[tuple[str, ...]]:
    check = prospect.check
    if prospect.band:
        yield (name, f"band: {_bound(check)}", *_shares(prospect.band), "")
    if prospect.hard_items:
        yield (name, "the same, hard items stay hard", *_shares(prospect.hard_items), "")
    cells = [_drawn(prospect.judged[loss]) for loss in (HEALTHY, *DROPS)]
    runs = f"{prospect.judged[HEALTHY].runs:.2f}"
    yield (name, "two stages, after ten nights", *cells, runs)


def _bound(check: PlannedCheck) -> str:
    if check.kind == "performance":
        bound = f"{check.shown_bound:.5g} {check.unit}"
        return f"{bound}, noise {check.noise:g} %{_times(check)}"
    return f"{check.bound:.4g} % of {check.items:,} items{_times(check)}"


def _times(check: PlannedCheck) -> str:
    return f" × {check.passes}" if check.passes > 1 else ""


def _shares(shares: Mapping[float, float]) -> list[str]:
    return [percent(shares[loss]) for loss in (HEALTHY, *DROPS)]


def _drawn(power: Power) -> str:
    return percent(power.fails) if power.fails else f"< {100 * power.most_fails:.1g} %"


def as_values(row: Row) -> dict[str, Any]:
    """Return a check as JSON-ready values; shares of nights are from 0 to 1."""
    check, prospect = row.check, row.prospect
    values: dict[str, Any] = {
        "check": row.name,
        "kind": check.kind,
        "baseline": check.baseline if check.bound is not None else None,
        "bound": check.shown_bound,
        "items": check.items or None,
        "passes": check.passes,
        "sentence": row.sentence,
        "proposals": row.proposals,
    }
    if prospect is None:
        return values
    seeing = prospect.seeing
    return values | {
        "band": _by_loss(prospect.band),
        "band_hard_items": _by_loss(prospect.hard_items),
        "judge": {_key(loss): _power(power) for loss, power in prospect.judged.items()},
        "single_night_shows": prospect.shown,
        "threshold": prospect.threshold,
        "threshold_band": _by_loss(prospect.proposed),
        "sees_5": {"items": seeing.items or None, "passes": seeing.passes} if seeing else None,
    }


def _by_loss(shares: Mapping[float, float]) -> dict[str, float] | None:
    return {_key(loss): round(share, 6) for loss, share in shares.items()} or None


def _key(loss: float) -> str:
    return f"{loss:g}" if loss else "healthy"


def _power(power: Power) -> dict[str, float]:
    return {
        "fails": power.fails,
        "unknown": power.unknown,
        "repeats": power.repeats,
        "controls": power.controls,
        "nights": power.nights,
    }
