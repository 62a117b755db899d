"""Find a figure that is lost little by little while its level is still being learned. Pure.

The first nights are the level that later ones are held against. What each of them loses against
the one before is in no night's loss, and their spread grows with it: a figure that loses 0.4 % a
night passes for weeks. So the order of the nights is looked at as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ci.judge.expected import ANCHOR_NIGHTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.baseline import Accepted
    from ci.judge.past import PastFigure
    from ci.judge.scale import Scale

# Fewer nights have an order by chance.
LEAST_NIGHTS = 10
# So rarely are the nights of a healthy figure in such an order. Each night is looked at with those
# before it, so that a series of 20 nights errs more often; measured: none of 400 with independent
# noise of 1.5 %, 1 % of those whose noise is correlated by 0.3 from night to night.
CHANCE = 1e-4
# So many times what matters have to be lost in all: 3 %, or 1.5 points.
LOSSES = 3.0


def creeping(
    tonight: PastFigure,
    nights: Sequence[PastFigure],
    accepted: Accepted | None,
    scale: Scale,
) -> str:
    """Return how much a figure loses a night, if it does so steadily; empty if it does not.

    M. G. Kendall's rank correlation with time (Biometrika 30 (1938), 81-93), one-sided; the loss is
    the slope of P. K. Sen (J. Am. Stat. Assoc. 63 (1968), 1379-1389), which single nights do not
    move. A figure that has come back loses nothing.

    Args:
        tonight: the figure.
        nights: the accepted ones, once each, the oldest first.
        accepted: the baseline of the ledger. Nights before it and its own are no creep any more:
            somebody looked at them.
        scale: of the metric.
    """
    own = [each for each in nights if each.series == tonight.series]
    if accepted is not None:
        ends = [each.started_at for each in own if each.run in accepted.runs]
        since = max(ends, default=accepted.when)
        own = [each for each in own if each.started_at > since]
    own = own[:ANCHOR_NIGHTS]
    if len(own) + 1 < LEAST_NIGHTS:
        return ""
    places = np.array([scale.place(each.value) for each in (*own, tonight)])
    times = np.arange(len(places))
    from scipy.stats import kendalltau, theilslopes  # noqa: PLC0415 - slow to import

    slope, intercept, *_ = theilslopes(places, times)
    lost = float(intercept - places[-1])
    if min(lost, -slope * times[-1]) < LOSSES * scale.matters:
        return ""
    p = float(kendalltau(times, places, alternative="less").pvalue)
    if not p < CHANCE:
        return ""
    a_night, in_all = _sizes(tonight, float(intercept), float(slope), len(places), scale)
    return (
        f"creeping: {a_night} a night over {len(places)} nights, {in_all} since "
        f"{own[0].run} (p = {p:.1g}): accept this level, or look for what changed"
    )


def _sizes(
    tonight: PastFigure, first: float, slope: float, nights: int, scale: Scale
) -> tuple[str, str]:
    """Write the change of a night, and the loss in all, in the figure's own unit and direction.

    A latency that becomes longer has a place that becomes lower. Counts are compared by their root,
    which nobody reads: their own numbers are written.

    Args:
        tonight: the figure.
        first: place of the first night on the line.
        slope: of the places.
        nights: their number, tonight included.
        scale: of the places.
    """
    if scale.kind == "count":
        lost = tonight.value - scale.value(first)
        a_night, in_all, unit = lost / (nights - 1), abs(lost), tonight.unit
    else:
        a_night = -slope if scale.lower_is_better else slope
        in_all = first - scale.place(tonight.value)
        unit = "%" if scale.kind == "performance" else "points"
    return f"{a_night:+.2g} {unit}", f"{in_all:.3g} {unit}"
