"""Say how much nights of the same point differ, by their runs and by earlier nights. Pure.

A night brings the servers up once and measures one or several times. The noise of its runs differs
between them, and that of the night is the same for all of them: only another night shows it. The
runs of each night tell the first one, and the nights of each point tell the second one. A point may
have an offset of its own as well, which no night shows: other kernels flip other answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

# Share of nights that are accidents, and how much wider those vary.
ACCIDENTS, WIDER = 0.03, 5.0
# Noises that are tried: of both together, of a run, and of a night.
NOISES, OF_RUNS, OF_NIGHTS = 16, 40, 60
# The least share of a noise, whose logarithm is taken.
NEXT_TO_NONE = 1e-12
# Before the first night, the noise of a night has the tail of a half-t distribution with so many
# degrees of freedom (A. Gelman, Bayesian Analysis 1 (2006), 515-534): it may be next to none.
TAIL = 3.0


@dataclass(frozen=True)
class Noise:
    """What is known of the noise before the first measurement, on the scale of the figures.

    Attributes:
        sd: standard deviation of the figures of nights of the same point.
        df: as if it were estimated with so many degrees of freedom; 0 for a mere guess.
        floor: the least that is believed.
        offset: standard deviation of what a point differs by from others of its level.
        runs: number of runs whose mean the figure of each of these nights is.
    """

    sd: float
    df: float = 0.0
    floor: float = 0.15
    offset: float = 0.0
    runs: int = 1


@dataclass(frozen=True)
class Night:
    """What the runs of a night say.

    Attributes:
        mean: of their figures.
        squares: sum of the squares of what they differ by from it.
        runs: their number.
    """

    mean: float
    squares: float
    runs: int

    @classmethod
    def of(cls, figures: Sequence[float]) -> Night:
        """Return it of the figures of its runs, at least one."""
        values = np.array(figures, dtype=float)
        mean = float(values.mean())
        return cls(mean, float(np.sum((values - mean) ** 2)), len(values))


def noises_of(
    nights: Sequence[Night], noise: Noise, floor: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return noises to try: of each night, of a night of the usual number of runs, their log prior.

    They are standard deviations of the mean of a night's runs. For a night of another number of
    runs than usual, the noise of a run is taken as it is expected. Without a night of several runs
    all noise counts as that of nights.

    Args:
        nights: of all points, at least one.
        noise: what is known of it before.
        floor: the least noise to try.

    Returns:
        Night × noise, noise, and noise → log of its share.
    """
    runs = np.array([night.runs for night in nights])
    usual = int(np.median(runs))
    guess = max(noise.sd, floor)
    widest = max(6 * guess, float(np.ptp([night.mean for night in nights])))
    several = [night for night in nights if night.runs > 1]
    spread = max((night.squares / (night.runs - 1) for night in several), default=0.0) ** 0.5
    of_run = np.geomspace(floor / 2, max(4 * guess, 2 * spread), OF_RUNS)
    log_run = _half_t(of_run, guess) + sum(_log_within(night, of_run) for night in several)
    if not several:
        of_run, log_run = np.zeros(1), np.zeros(1)
    of_night = np.geomspace(floor / 4, widest, OF_NIGHTS)
    both = np.sqrt(of_night[None, :] ** 2 + of_run[:, None] ** 2 / usual)
    logs = log_run[:, None] + _half_t(of_night, guess)[None, :]
    if noise.df:
        past = np.sqrt(of_night[None, :] ** 2 + of_run[:, None] ** 2 / noise.runs)
        # The scaled chi-squared density of an estimate.
        logs = logs - noise.df * (np.log(past) + noise.sd**2 / (2 * past**2))
    sds = np.geomspace(floor, widest, NOISES)
    edges = np.sqrt(sds[1:] * sds[:-1])
    weights = np.exp(logs - logs.max())
    shares = np.bincount(
        np.searchsorted(edges, both.ravel()), weights=weights.ravel(), minlength=NOISES
    )
    run = np.exp(log_run - log_run.max())
    variance = float(np.sum(run * of_run**2) / np.sum(run))
    more = variance * (1 / runs - 1 / usual)
    of_each = np.sqrt(np.maximum(sds[None, :] ** 2 + more[:, None], floor**2))
    return of_each, sds, np.log(shares + NEXT_TO_NONE)


def _half_t(sds: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Return the log prior of standard deviations on a grid that is even in the logarithm."""
    logs: NDArray[np.float64] = np.log(sds) - (TAIL + 1) / 2 * np.log1p((sds / scale) ** 2 / TAIL)
    return logs


def _log_within(night: Night, sds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return noise of a run → log likelihood of how much the runs of a night differ."""
    df = night.runs - 1
    usual = np.log1p(-ACCIDENTS) - night.squares / (2 * sds**2)
    rare = np.log(ACCIDENTS) - df * np.log(WIDER) - night.squares / (2 * (WIDER * sds) ** 2)
    logs: NDArray[np.float64] = np.logaddexp(usual, rare) - df * np.log(sds)
    return logs
