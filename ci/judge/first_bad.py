"""Say which of several points in order is the first bad one, by measurements with noise. Pure.

All points before it have one level, it and all points after it another, worse one (A. F. M. Smith,
Biometrika 62 (1975), 407-416). Both levels and the noise are unknown and are integrated over on a
grid, so that any noise can be assumed: a normal one of which a few are accidents (J. W. Tukey, A
Survey of Sampling from Contaminated Distributions, 1960). ci/judge/night_noise.py has the noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from ci.judge.night_noise import ACCIDENTS, NEXT_TO_NONE, WIDER, Night, noises_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ci.judge.night_noise import Noise

LEVELS = 301
# Results of one night more that are told apart.
RESULTS = 48
# Half the squared distance, in standard deviations, from which on all figures are as unlikely.
FARTHEST = 1e4
# Levels of the grid reach so many spreads beyond the measurements.
BEYOND = 5.0
# The least noise, in steps between levels: of less, the sum over levels is no integral.
LEAST_STEPS = 1.5
# Offsets of points that are tried: the nodes of a Gauss-Hermite quadrature.
OFFSETS = 7
# Of nights that only succeed or fail, nearly all of a level do the same: parameters of the beta
# distribution of the share that fails.
EXTREME = 0.15
# Both shares differ by at least so much.
SHARES_APART = 0.5
SHARES = 201


@dataclass(frozen=True, eq=False)
class Likelihoods:
    """How likely the measurements of each point are.

    Attributes:
        logs: point × noise × level → log likelihood; levels ascend, and more is better.
        noises: log prior of each noise.
        good: log prior of each level of good points.
        bad: log prior of each level of bad points.
        apart: number of levels by which a bad one is below a good one at least.
        levels: their values.
        next: noise × level × result → probability of each result of one night more.
        sds: the noises; 0 where nights only succeed or fail.
    """

    logs: NDArray[np.float64]
    noises: NDArray[np.float64]
    good: NDArray[np.float64]
    bad: NDArray[np.float64]
    apart: int
    levels: NDArray[np.float64]
    next: NDArray[np.float64]
    sds: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Posterior:
    """What is believed after the measurements.

    Attributes:
        first: probability of each point to be the first bad one; that of the first point is 0.
        worse: probability that the bad level is worse by what matters, or more.
        better: probability that it is better by as much.
        good: expected level of the good points.
        bad: expected level of the bad points.
        if_good: first bad point × result → probability of each result of one night more of a good
            point, if the first bad one is that.
        if_bad: the same of a bad point.
        sd: expected noise of a night with its runs.
    """

    first: NDArray[np.float64]
    worse: float
    better: float
    good: float
    bad: float
    if_good: NDArray[np.float64]
    if_bad: NDArray[np.float64]
    sd: float


def of_figures(
    points: Sequence[Sequence[Sequence[float]]], noise: Noise, matters: float
) -> Likelihoods:
    """Return the likelihoods of figures.

    Args:
        points: point → night → the figures of its runs, at their places on a scale where more is
            better; a point without a night is allowed.
        noise: as known before.
        matters: the smallest loss that makes a point bad.

    Raises:
        ValueError: no point has a figure.
    """
    nights = [[Night.of(runs) for runs in point] for point in points]
    every = [night for point in nights for night in point]
    if not every:
        raise ValueError("no point has a figure")
    means = np.array([night.mean for night in every])
    reach = BEYOND * max(noise.sd, noise.floor, noise.offset)
    levels = np.linspace(means.min() - reach, means.max() + reach, LEVELS)
    step = float(levels[1] - levels[0])
    floor = max(noise.floor, LEAST_STEPS * step)
    sds, usual, priors = noises_of(every, noise, floor)
    logs = np.zeros((len(points), len(usual), LEVELS))
    at = 0
    for index, point in enumerate(nights):
        means_of = means[at : at + len(point)]
        logs[index] = _of_point(means_of, levels, sds[at : at + len(point)], noise.offset)
        at += len(point)
    flat = np.zeros(LEVELS)
    apart = max(round(matters / step), 1)
    results = np.linspace(levels[0], levels[-1], RESULTS)
    following = np.exp(-(((results - levels[:, None]) / usual[:, None, None]) ** 2) / 2)
    following /= following.sum(axis=2, keepdims=True)
    return Likelihoods(logs, _normed(priors), flat, flat, apart, levels, following, usual)


def of_outcomes(points: Sequence[tuple[int, int]]) -> Likelihoods:
    """Return the likelihoods of nights that only succeed or fail.

    Args:
        points: number of nights of each point that succeeded, and that failed.
    """
    failing = (np.arange(SHARES) + 0.5) / SHARES
    levels = -failing[::-1]  # more is better
    logs = np.array([good * np.log1p(levels) + bad * np.log(-levels) for good, bad in points])
    edges = np.linspace(0, 1, SHARES + 1)
    prior = np.log(np.diff(stats.beta.cdf(edges, EXTREME, EXTREME)))
    apart = round(SHARES_APART * SHARES)
    following = np.stack([1 + levels, -levels], axis=1)[None]
    return Likelihoods(
        logs[:, None, :], np.zeros(1), prior, prior, apart, levels, following, np.zeros(1)
    )


def posterior(likelihoods: Likelihoods) -> Posterior:
    """Return what is believed of the first bad point.

    Each point but the first may be it, with the same probability before the measurements. Which one
    it is, is told by the levels that are apart by what matters or more.

    Args:
        likelihoods: of at least two points.
    """
    logs, apart = likelihoods.logs, likelihoods.apart
    until = np.cumsum(logs, axis=0)
    before, after = until[:-1] + likelihoods.good, until[-1] - until[:-1] + likelihoods.bad
    tops = before.max(axis=2, keepdims=True), after.max(axis=2, keepdims=True)
    good, bad = np.exp(before - tops[0]), np.exp(after - tops[1])
    weights = likelihoods.noises + (tops[0] + tops[1])[..., 0]
    weights = np.exp(weights - weights.max())
    below = np.zeros_like(bad)
    below[..., apart:] = np.cumsum(bad, axis=2)[..., : bad.shape[2] - apart]
    over = np.zeros_like(bad)
    over[..., : bad.shape[2] - apart] = np.cumsum(bad[..., ::-1], axis=2)[..., ::-1][..., apart:]
    both = good * below
    worse = weights * both.sum(axis=2)
    better = weights * np.sum(good * over, axis=2)
    every = weights * good.sum(axis=2) * bad.sum(axis=2)
    firsts = worse.sum(axis=1)
    total = float(every.sum())
    found = firsts.sum()
    # Of points whose levels are not apart at all, each is as likely as the others.
    first = firsts / found if found > 0 else np.full(len(firsts), 1 / len(firsts))
    of_good = np.sum(weights * bad.sum(axis=2) * (good @ likelihoods.levels)) / total
    of_bad = np.sum(weights * good.sum(axis=2) * (bad @ likelihoods.levels)) / total
    above = np.zeros_like(good)
    above[..., : -apart or None] = np.cumsum(good[..., ::-1], axis=2)[..., ::-1][..., apart:]
    return Posterior(
        np.concatenate([[0.0], first]),
        float(found) / total,
        float(better.sum()) / total,
        float(of_good),
        float(of_bad),
        _following(weights[..., None] * both, likelihoods.next),
        _following(weights[..., None] * bad * above, likelihoods.next),
        float(np.sum(every * likelihoods.sds)) / total,
    )


def _following(levels: NDArray[np.float64], results: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return first bad point × result → probability, by what is believed of noise and level."""
    found = np.tensordot(levels, results, axes=2) + NEXT_TO_NONE
    shares: NDArray[np.float64] = found / found.sum(axis=1, keepdims=True)
    return np.concatenate([shares[:1], shares])


def _of_point(
    values: NDArray[np.float64],
    levels: NDArray[np.float64],
    sds: NDArray[np.float64],
    offset: float,
) -> NDArray[np.float64]:
    """Return noise × level → log likelihood of the figures of a point.

    Args:
        values: its nights.
        levels: to be tried.
        sds: night × noise.
        offset: standard deviation of what it differs by from its level.
    """
    if not len(values):
        return np.zeros((sds.shape[1], len(levels)))
    if not offset:
        return _log_density(values, levels, sds)
    nodes, shares = np.polynomial.hermite_e.hermegauss(OFFSETS)
    each = [
        np.log(share) + _log_density(values, levels + offset * node, sds)
        for node, share in zip(nodes, shares / shares.sum(), strict=True)
    ]
    offsets: NDArray[np.float64] = special.logsumexp(each, axis=0)
    return offsets


def _log_density(
    values: NDArray[np.float64], levels: NDArray[np.float64], sds: NDArray[np.float64]
) -> NDArray[np.float64]:
    squares = ((values[:, None, None] - levels[None, None, :]) / sds[:, :, None]) ** 2 / 2
    np.minimum(squares, FARTHEST, out=squares)
    density = np.log(
        (1 - ACCIDENTS) * np.exp(-squares) + ACCIDENTS / WIDER * np.exp(-squares / WIDER**2)
    )
    of_all: NDArray[np.float64] = density.sum(axis=0) - np.log(sds).sum(axis=0)[:, None]
    return of_all


def _normed(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    normed: NDArray[np.float64] = logs - special.logsumexp(logs)
    return normed
