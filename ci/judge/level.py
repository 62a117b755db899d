"""Compare tonight's figure with a robust centre and spread of past nights. Pure.

Nights that are far from the others do not count, so that a few slow ones widen nothing. Two hosts
are two levels with one spread. The noise of a run and of a night are told apart where runs of one
night were repeated: only a run's noise becomes smaller when a run is repeated.
"""

from __future__ import annotations

import functools
import math
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.spread import p_of_t, sd_of, step_of, t_of_p, without_accidents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.measured import Measured, RunNoise
    from ci.judge.scale import Scale

# The spread of a performance, in percent, or of a share, in points, where all figures are the same.
SAME_SPREAD = 0.5
# A night that is so many times what matters from the others, such as 10 %, is no noise.
GROSS = 10.0
# The share of a score's binomial variance that is of answers, and not of hard items that stay hard:
# the same where all scores are the same. Greedy answers have about so much.
SAME_SHARE = 0.4


@dataclass(frozen=True)
class Level:
    """The level of a host's nights, on a scale.

    Attributes:
        centre: mean of the nights that count.
        sd: standard deviation of nights around the level of their host.
        df: degrees of freedom of `sd`.
        nights: number of nights behind `centre`.
        unknown: variance of the host's own level, where only other hosts' levels are known.
    """

    centre: float
    sd: float
    df: int
    nights: int
    unknown: float = 0.0


class LevelHistory:
    """What the figures of past nights say about tonight's."""

    def __init__(
        self,
        nights: Sequence[Measured],
        scale: Scale,
        noise: RunNoise | None = None,
        passes: int = 1,
    ) -> None:
        """Take the nights.

        Args:
            nights: at least two.
            scale: of the figures.
            noise: of measurements like tonight's, if it is known.
            passes: number of passes of tonight's figure.

        Raises:
            ValueError: there are fewer than two nights.
        """
        if len(nights) < 2:  # noqa: PLR2004 - a spread needs two
            raise ValueError("a spread needs two nights")
        self.nights = len(nights)
        self.scale = scale
        self.noise = noise
        # How much of a run's variance the figures of the nights have, against tonight's.
        self._share = passes * float(np.mean([1 / night.passes for night in nights]))
        self.floor = _floor(nights, scale)
        self._places: dict[str, list[float]] = defaultdict(list)
        for night in nights:
            self._places[night.host].append(scale.place(night.value))

    @functools.cached_property
    def _hosts(self) -> tuple[dict[str, Level], float, int]:
        """Return the level of each host, and the spread around them with its freedom."""
        values = {host: np.array(places) for host, places in self._places.items()}
        apart = np.concatenate([each - np.median(each) for each in values.values()])
        step = step_of(np.concatenate(list(values.values())))
        floor = math.hypot(self.floor, step / math.sqrt(12))
        counts = without_accidents(apart, floor, GROSS * self.scale.matters)
        squares, df, kept, at = 0.0, 0, {}, 0
        for host, each in values.items():
            near = each[counts[at : at + len(each)]]
            at += len(each)
            if not len(near):
                near = each
            kept[host] = near
            squares += float(np.sum((near - near.mean()) ** 2))
            df += len(near) - 1
        # Without two nights on one host, the spread of all has to do.
        sd = math.sqrt(squares / df) if df else sd_of(np.concatenate(list(values.values())))
        sd, df = max(sd, floor), max(df, 1)
        levels = {host: Level(float(near.mean()), sd, df, len(near)) for host, near in kept.items()}
        return levels, sd, df

    @functools.lru_cache(16)  # noqa: B019 - as short-lived as the judgement
    def level(self, host: str) -> Level:
        """Return the level of a host; of a new host, that of the others with their spread."""
        levels, sd, df = self._hosts
        if host in levels:
            return levels[host]
        centres = np.array([level.centre for level in levels.values()])
        # One or two hosts do not tell how much hosts differ.
        between = max(sd_of(centres), self.scale.between_hosts) ** 2
        return Level(float(centres.mean()), sd, df, len(centres), between)

    def spread(self, level: Level, runs: int = 1) -> float:
        """Return the standard deviation of the mean of so many runs of a night like tonight.

        Without repeated runs, nothing tells that a mean of runs is better than one.
        """
        total = level.sd**2
        past = min(self.noise.sd**2 * self._share, total) if self.noise else 0.0
        return math.sqrt(total - past + past / self._share / runs)

    def _se(self, level: Level, runs: int) -> float:
        """Return the standard error of the mean of tonight's runs against the level."""
        nights = level.sd**2 / level.nights
        return math.hypot(self.spread(level, runs), math.sqrt(nights + level.unknown))

    def p_low(self, runs: Sequence[Measured]) -> float:
        """Return the probability of so low a mean of tonight's runs, were nothing changed.

        Args:
            runs: measurements of tonight, all on one host.
        """
        level = self.level(runs[0].host)
        mean = float(np.mean([self.scale.place(run.value) for run in runs]))
        return p_of_t((mean - level.centre) / self._se(level, len(runs)), level.df)

    def loss(self, runs: Sequence[Measured]) -> float:
        """Return how much lower the mean of tonight's runs is than the level, on the scale."""
        mean = float(np.mean([self.scale.place(run.value) for run in runs]))
        return self.level(runs[0].host).centre - mean

    def centre(self, host: str) -> float:
        """Return the figure that is expected on a host."""
        return self.scale.value(self.level(host).centre)

    def lowest(self, alpha: float, host: str, runs: int = 1) -> float:
        """Return the figure at which `p_low` of so many runs is alpha."""
        level = self.level(host)
        place = level.centre + t_of_p(alpha, level.df) * self._se(level, runs)
        return self.scale.value(place)


def _floor(nights: Sequence[Measured], scale: Scale) -> float:
    """Return the least standard deviation of nights that is believed.

    Of a score at least that of half an answer. Figures that are all the same are copied, rounded
    or of one run, and do not tell at all how much nights differ: the least that is usual counts.
    """
    same = len({night.value for night in nights}) == 1
    known = [night.n for night in nights if night.n > 0]
    if scale.kind != "accuracy" or not known:
        spread = same and scale.kind in {"performance", "share"}
        return SAME_SPREAD if spread else scale.floor
    n = float(np.median(known))
    variance = 0.5 / n**2
    if same:
        right = min(max(nights[0].value / 100, 0.0), 1.0)
        variance = max(variance, SAME_SHARE * right * (1 - right) / n)
    return math.hypot(scale.floor, 100 * math.sqrt(variance))
