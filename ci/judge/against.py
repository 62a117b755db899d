"""Choose what a figure is held against: the accepted nights, or the written baseline. Pure."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.asked import bound_of
from ci.judge.comparable import REJECTED, broken, differences
from ci.judge.measured import ItemCounts, Measured
from ci.judge.metrics import is_score, kind_of, lower_is_better, may_be_zero
from ci.judge.scale import Scale
from ci.judge.written import Written

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.baseline import Holding
    from ci.judge.comparable import History
    from ci.judge.past import PastFigure

# What a loss may be on the scale, if a ledger has the baseline but the history has not its nights.
TOLERATED = 3.0


def scale_of(figure: PastFigure) -> Scale:
    """Return the scale of a figure."""
    lower = lower_is_better(figure.metric, figure.unit)
    return Scale(kind_of(figure.metric), lower)


def measured_of(figure: PastFigure) -> Measured:
    """Return what of a figure is compared."""
    return Measured(
        figure.value,
        figure.n,
        counts_of(figure),
        figure.series,
        figure.cut,
        figure.run,
        figure.passes,
    )


def counts_of(figure: PastFigure) -> ItemCounts | None:
    """Return the answers of the items; None if there are none, or if the passes differ.

    Only a score is the share of them that are right: other figures of its benchmark are not, nor is
    pass@k.
    """
    share = is_score(figure.metric) and not figure.metric.startswith("pass@")
    if not figure.items or not share:
        return None
    ids = tuple(sorted(figure.items))
    passes = {figure.items[each][1] for each in ids}
    if len(passes) != 1:
        return None
    correct = np.array([figure.items[each][0] for each in ids], dtype=np.int64)
    return ItemCounts(ids, correct, passes.pop())


def unusable(figure: PastFigure, *, zero: bool = False) -> str:
    """Return why a figure can be compared with none; empty if it can.

    Args:
        figure: the figure.
        zero: whether a score of 0 is normal.
    """
    reason = broken(figure, zero=zero)
    if reason or figure.value > 0 or is_score(figure.metric) or may_be_zero(figure.metric):
        return reason
    return f"{figure.metric} is {figure.value:g}: only figures over 0 are compared"


def accepted_nights(figures: Sequence[PastFigure], holding: Holding) -> tuple[PastFigure, ...]:
    """Return the nights that made the accepted level, and those since then.

    Nights that failed, or of which nobody knows, are no level to hold others against. Nor are those
    that nobody judged and that are below the bound of the case, where other nights of their hosts
    are not.

    Args:
        figures: the comparable ones, oldest first.
        holding: the accepted baseline; that of a ledger begins with the nights that it names.
    """
    figures = [each for each in figures if not unusable(each)]
    good = [each for each in figures if each.outcome in {"", "pass"}]
    accepted = holding.accepted
    if accepted is None:
        return tuple(_without_low(good, holding))
    begin = min((each.started_at for each in good if each.run in accepted.runs), default=None)
    since = accepted.when if begin is None else begin
    return tuple(each for each in figures if _counts(each, accepted.runs, since))


def _counts(figure: PastFigure, runs: Sequence[str], since: str) -> bool:
    good = figure.outcome in {"", "pass"} or figure.run in runs
    return good and figure.started_at >= since


def _without_low(nights: Sequence[PastFigure], holding: Holding) -> list[PastFigure]:
    if holding.value is None or holding.threshold is None or not nights:
        return list(nights)
    written = written_baseline(holding, scale_of(nights[0]))
    low = {
        id(each)
        for each in nights
        if not written.is_within(measured_of(each), each.value, level=0.0)
    }
    levels = {each.series for each in nights if id(each) not in low}
    return [
        each
        for each in nights
        if each.outcome == "pass" or id(each) not in low or each.series not in levels
    ]


def other_settings(
    tonight: PastFigure, nights: Sequence[PastFigure], history: History, holding: Holding
) -> str:
    """Return why the baseline of the case says nothing of a figure below it; empty if it does.

    It is that of other settings, if good nights of those passed with it and none of the present
    ones did. Were it newer than those nights, they would hardly lie within its bound.

    Args:
        tonight: the figure.
        nights: the accepted ones that are comparable.
        history: of the figure.
        holding: the baseline that holds.
    """
    if nights or holding.value is None or holding.accepted is not None:
        return ""
    written = written_baseline(holding, scale_of(tonight))
    if written.is_within(measured_of(tonight), tonight.value, level=0.0):
        return ""
    others = [
        each.figure
        for each in history.left_out
        if each.figure.outcome in {"", "pass"}
        and each.figure.started_at <= tonight.started_at
        and each.figure.run != tonight.run
        and not each.reason.startswith(REJECTED)
        and each.figure.conditions is not None
        and not unusable(each.figure)
        and differences(tonight, each.figure)
    ]
    if not others or tonight.conditions is None:
        return ""
    usual = statistics.median(each.value for each in others)
    if not written.is_within(measured_of(others[-1]), usual, level=0.0):
        return ""
    changed = "; ".join(differences(tonight, others[-1]))
    return (
        f"below the baseline of {holding.source or 'the case'}, which is that of other settings: "
        f"{changed}; if this is the new level, accept it: `inv baseline.accept`"
    )


def other_host(tonight: PastFigure, nights: Sequence[PastFigure], holding: Holding) -> str:
    """Return why an accepted speed of other hosts says nothing of one below it; empty if it does.

    Args:
        tonight: the figure.
        nights: the accepted ones that are comparable, too few to tell how hosts differ.
        holding: the baseline that holds.
    """
    accepted = holding.accepted
    if accepted is None or accepted.host in {"", tonight.host} or is_score(tonight.metric):
        return ""
    written = written_baseline(holding, scale_of(tonight))
    within = written.is_within(measured_of(tonight), tonight.value, level=0.0)
    if within or any(each.host == tonight.host for each in nights):
        return ""
    return (
        f"below the baseline of {holding.source}, which was accepted on {accepted.host}: "
        f"hosts differ, and {tonight.host or 'this one'} has no accepted night; accept one"
    )


def written_baseline(holding: Holding, scale: Scale) -> Written:
    """Return the baseline that holds, with its bound; there is one."""
    return written_of(holding.value or 0.0, holding.threshold, scale)


def written_of(value: float, threshold: float | None, scale: Scale) -> Written:
    """Return a written baseline with its bound.

    Args:
        value: the baseline.
        threshold: of a case: a number of points of an accuracy, or the factor of another figure
            that is still good; None for a baseline of the ledger: 3 % of a performance, 3 points
            of a share and 3 spreads of a count are tolerated, and of an accuracy what chance
            explains.
        scale: of the metric.
    """
    if threshold is None:
        if scale.kind == "accuracy":
            return Written(value, None, scale)
        nothing = value <= 0 and not scale.lower_is_better
        bound = 0.0 if nothing else scale.value(scale.place(value) - TOLERATED)
        return Written(value, bound, scale)
    bound = bound_of(scale.kind, value, threshold, lower_is_better=scale.lower_is_better)
    return Written(value, bound, scale)
