"""Say how certain a comparison of two benchmarks is: an interval for their ratio. Pure.

A ratio is compared by its logarithm, whose noise does not depend on the level. What a slow night or
a slow host does to both figures cancels, so that past ratios of the same pair tell the noise best;
where there are too few, repeated runs of both do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.against import scale_of, unusable
from ci.judge.comparable import comparable
from ci.judge.evidence import noise_of
from ci.judge.expected import LEAST_NIGHTS
from ci.judge.sentence import CONFIDENCE
from ci.judge.spread import sd_of, t_of_p, winsorized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.case.model import Comparison
    from ci.judge.past import PastFigure
    from ci.judge.verdict import Check


@dataclass(frozen=True)
class RatioNoise:
    """How much the ratio of two figures differs from night to night.

    Attributes:
        sd: standard deviation of 100 times its logarithm; None if it is not known yet.
        df: degrees of freedom of the estimate.
        source: what it is from, or how much of that there is, for readers.
    """

    sd: float | None
    df: int
    source: str


@dataclass(frozen=True)
class Side:
    """One of the two figures.

    Attributes:
        runs: the measurements of tonight, at least one; the first of them is compared.
        past: figures of the same check of other nights, in any order.
    """

    runs: tuple[PastFigure, ...]
    past: tuple[PastFigure, ...] = ()


def ratio_noise(target: Side, baseline: Side, rejected: Mapping[str, str]) -> RatioNoise:
    """Return how much the ratio of two figures differs, by past nights or by repeated runs.

    Past nights: the standard deviation of the log ratios, accidents brought near. Repeated runs:
    that of a run, pooled over both figures, for each of the two of the ratio (Student,
    Biometrika 6 (1908), 1-25). The passes of a figure are such runs, and it is their mean.

    Args:
        target: the figure that is compared.
        baseline: the figure that it is compared with.
        rejected: run → why an operator rejected it.
    """
    scale = scale_of(target.runs[0])
    sides = [_usable(side, rejected) for side in (target, baseline)]
    firsts = [{figure.run: figure.value for figure in reversed(side)} for side in sides]
    both = [run for run in firsts[0] if run in firsts[1]]
    if len(both) >= LEAST_NIGHTS:
        logs = np.array([100 * math.log(firsts[0][run] / firsts[1][run]) for run in both])
        sd = max(sd_of(winsorized(logs, scale.floor)), scale.floor)
        return RatioNoise(sd, len(both) - 1, f"{len(both)} nights with both figures")
    runs = [*sides[0], *target.runs, *sides[1], *baseline.runs]
    if noise := noise_of(runs, scale):
        means = sum(1 / side.runs[0].passes for side in (target, baseline))
        sd = math.sqrt(means) * max(noise.sd, scale.floor)
        return RatioNoise(sd, noise.df, "repeated runs of both figures")
    return RatioNoise(None, 0, f"{len(both)} of {LEAST_NIGHTS} nights with both figures")


def with_interval(check: Check, comparison: Comparison, noise: RatioNoise) -> Check:
    """Return a comparison with its interval; unknown if it fails, and chance may be the reason.

    Args:
        check: of two valid figures.
        comparison: as the case has it.
        noise: of the ratio.
    """
    if check.value is None or not check.baseline:
        return check
    failed = check.outcome == "fail"
    if noise.sd is None:
        reason = f"{check.reason}; no interval yet" if failed else check.reason
        return replace(check, reason=reason, seen=noise.source)
    ratio = check.value / check.baseline
    factor = math.exp(t_of_p((1 + CONFIDENCE) / 2, noise.df) * noise.sd / 100)
    low, high = ratio / factor, ratio * factor
    judged = replace(
        check, interval=(low * check.baseline, high * check.baseline), seen=noise.source
    )
    if not failed:
        return judged
    found = f"{ratio:.3g} × {comparison.baseline}, {low:.3g} to {high:.3g} in 95 of 100 such nights"
    if low < comparison.ratio < high:
        asked = f"asked for {comparison.operator} {comparison.ratio:g}"
        return replace(judged, outcome="unknown", reason=f"cannot tell: {found}, {asked}")
    return replace(judged, reason=f"{check.reason}: {found}")


def _usable(side: Side, rejected: Mapping[str, str]) -> list[PastFigure]:
    history = comparable(side.runs[0], side.past, rejected=rejected)
    return [figure for figure in history.figures if not unusable(figure)]
