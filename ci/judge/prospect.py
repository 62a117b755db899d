"""Say what a check will do before any night: its band, and the judge after ten nights. Pure."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.judge import band
from ci.judge.better_band import WANTED, better_threshold, with_threshold
from ci.judge.power import Draw, power
from ci.judge.sensitivity import smallest_drop, that_sees

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.judge.decide import Levels
    from ci.judge.planned import PlannedCheck
    from ci.judge.power import Power

# No loss, and the losses that a check is asked for, in points or percent.
HEALTHY = 0.0
DROPS = (2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Prospect:
    """What a check will do.

    Attributes:
        check: the check.
        band: loss → share of nights that the band fails, were each answer drawn again; empty
            without a band.
        hard_items: the same, where hard items stay hard; of accuracy only.
        judged: loss → what the judge does after ten nights.
        shown: the smallest loss that a single night shows; None if there is none.
        threshold: of a better band; None if there is none, or no band at all.
        proposed: loss → share of nights that the band with this threshold fails.
        seeing: the check with as many items or passes as it needs for the judge to find 5 points
            or percent in 9 of 10 nights; None if 64 passes are too few.
    """

    check: PlannedCheck
    band: Mapping[float, float]
    hard_items: Mapping[float, float]
    judged: Mapping[float, Power]
    shown: float | None
    threshold: float | None
    proposed: Mapping[float, float]
    seeing: PlannedCheck | None

    @property
    def fault(self) -> str:
        """Return what is wrong with the band; see `ci.judge.band.fault`."""
        return band.fault(self.check)


@functools.lru_cache(256)
def prospect(
    check: PlannedCheck, levels: Levels, available: int, seed: int = 1, *, control: bool = True
) -> Prospect:
    """Compute what a check will do, and what would do better.

    Args:
        check: of accuracy with a known number of items.
        levels: of the two stages.
        available: number of items of the whole dataset; 0 if unknown.
        seed: of the nights that are drawn.
        control: whether the last good version is measured beside a suspect.
    """
    threshold = None if check.bound is None else better_threshold(check)
    nights = 400 if check.kind == "accuracy" else 3000
    healthy, bad = Draw(nights, 8, seed, control), Draw(200, 1, seed, control)
    accuracy = check.kind == "accuracy" and check.bound is not None
    return Prospect(
        check=check,
        band=_fails(check),
        hard_items=_fails(check, independent=False) if accuracy else {},
        judged={
            HEALTHY: power(check, HEALTHY, levels, healthy),
            **{drop: power(check, drop, levels, bad) for drop in DROPS},
        },
        shown=smallest_drop(check, levels.fail),
        threshold=threshold,
        proposed={} if threshold is None else _fails(with_threshold(check, threshold)),
        seeing=that_sees(check, WANTED, levels, available, replace(bad, nights=100)),
    )


def _fails(check: PlannedCheck, *, independent: bool = True) -> dict[float, float]:
    if check.bound is None:
        return {}
    losses = (HEALTHY, *DROPS)
    return {loss: band.fails(check, loss, independent=independent) for loss in losses}
