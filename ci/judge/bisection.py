"""Choose the next point to measure in search of the first bad one, and say when it is found. Pure.

Probabilistic bisection: the point is measured that splits what is believed into halves, however
often it was measured before (M. Horstein, IEEE Trans. Inf. Theory 9 (1963), 136-143; R. Waeber, P.
I. Frazier, S. G. Henderson, SIAM J. Control Optim. 51 (2013), 2261-2279). First both ends are
measured in turn, until it is certain that the bad one is worse.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from ci.judge.first_bad import of_figures, of_outcomes, posterior

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from ci.judge.first_bad import Likelihoods, Posterior
    from ci.judge.night_noise import Noise

CERTAINTY = 0.95
# No answer rests on one night of a point: that may be an accident.
LEAST_NIGHTS = 2
# Nights of each end, after which ends that cannot be told apart are given up.
MOST_OF_AN_END = 12
# Ends that are the other way round are a mistake of the operator: that has to be more certain.
TURNED = 0.99
# Nights of each end, before they may be called alike.
LEAST_OF_ALIKE = 4
MOST_NIGHTS = 60


class Stage(Enum):
    """How far a search is."""

    ENDS = "ends"
    BETWEEN = "between"
    FOUND = "found"
    ALIKE = "alike"
    TURNED = "turned"
    UNCLEAR = "unclear"


@dataclass(frozen=True)
class Wanted:
    """What an answer has to be.

    Attributes:
        certainty: its probability, at least; so is that of the ends being good and bad.
        most: the largest number of nights.
    """

    certainty: float = CERTAINTY
    most: int = MOST_NIGHTS


@dataclass(frozen=True)
class Figures:
    """Points whose nights have a figure.

    Attributes:
        points: point → night → the figures of its runs, as places on a scale where more is better;
            None for a point that cannot be measured.
        noise: what is known of it before.
        matters: the smallest loss that makes a point bad.
    """

    points: tuple[tuple[tuple[float, ...], ...] | None, ...]
    noise: Noise
    matters: float

    def counts(self) -> list[int | None]:
        """Return the number of nights of each point; None for one that cannot be measured."""
        return [None if point is None else len(point) for point in self.points]

    def news(self, sd: float) -> list[float]:
        """Return how much one night more of each point tells, as a share of what the first tells.

        The offset of a point is the same in all its nights.

        Args:
            sd: noise of a night.
        """
        offset, night = self.noise.offset**2, max(sd, self.noise.floor) ** 2
        told = [
            [0 if not n else n / (n * offset + night) for n in (count or 0, (count or 0) + 1)]
            for count in self.counts()
        ]
        return [(after - before) * (offset + night) for before, after in told]

    def likelihoods(self, chosen: Sequence[int]) -> Likelihoods:
        """Return the likelihoods of some points."""
        return of_figures([self.points[each] or () for each in chosen], self.noise, self.matters)


@dataclass(frozen=True)
class Outcomes:
    """Points whose nights succeed or fail.

    Attributes:
        points: number of nights of each point that succeeded, and that failed; None for a point
            that cannot be measured.
    """

    points: tuple[tuple[int, int] | None, ...]

    def counts(self) -> list[int | None]:
        """Return the number of nights of each point; None for one that cannot be measured."""
        return [None if point is None else sum(point) for point in self.points]

    def news(self, _: float) -> list[float]:
        """Return how much one night more of each point tells: as much as the first."""
        return [1.0] * len(self.points)

    def likelihoods(self, chosen: Sequence[int]) -> Likelihoods:
        """Return the likelihoods of some points."""
        return of_outcomes([self.points[each] or (0, 0) for each in chosen])


@dataclass(frozen=True)
class Standing:
    """What is known after some nights, and what to do next.

    Attributes:
        stage: how far the search is.
        next: index of the point to measure; None if there is nothing to measure any more.
        worse: probability that the bad end is worse by what matters.
        better: probability that it is better by as much.
        first: probability of each point to be the first bad one; empty while the ends are not
            verified.
        answer: first and last index of the fewest neighbouring points one of which is the first
            bad one with the wanted certainty: the same twice, unless the points between cannot be
            measured or told apart.
        probability: of the answer.
        good: level of the good points, on the scale; None if it is unknown.
        bad: level of the bad points.
    """

    stage: Stage
    next: int | None
    worse: float = 0.0
    better: float = 0.0
    first: tuple[float, ...] = ()
    answer: tuple[int, int] = (0, 0)
    probability: float = 0.0
    good: float | None = None
    bad: float | None = None


def standing(seen: Figures | Outcomes, wanted: Wanted) -> Standing:
    """Say what is known, and which point to measure next.

    Args:
        seen: what was measured, of at least two points: the good end first, the bad end last.
        wanted: what an answer has to be.
    """
    counts, last = seen.counts(), len(seen.points) - 1
    of_ends = counts[0], counts[last]
    if None in of_ends:
        return Standing(Stage.UNCLEAR, None)
    ends = posterior(seen.likelihoods((0, last))) if all(of_ends) else None
    known = sum(count or 0 for count in counts)
    if ends is None or min(filter(None, of_ends)) < LEAST_NIGHTS or ends.worse < wanted.certainty:
        return _of_ends(ends, (of_ends[0] or 0, of_ends[1] or 0), last, known, wanted)
    return _between(seen, counts, ends, known, wanted)


def _of_ends(
    ends: Posterior | None, nights: tuple[int, int], last: int, known: int, wanted: Wanted
) -> Standing:
    """Say which end to measure, or that they are not good and bad."""
    following = 0 if nights[0] <= nights[1] else last
    if ends is None:
        return Standing(Stage.ENDS, following)
    given: dict[str, Any] = {
        "worse": ends.worse,
        "better": ends.better,
        "good": ends.good,
        "bad": ends.bad,
    }
    fewest = min(nights)
    if ends.better >= max(wanted.certainty, TURNED) and fewest >= LEAST_NIGHTS:
        return Standing(Stage.TURNED, None, **given)
    alike = ends.worse <= 1 - wanted.certainty and fewest >= LEAST_OF_ALIKE
    if alike or fewest >= MOST_OF_AN_END or known >= wanted.most:
        stage = Stage.ALIKE if ends.worse < 0.5 else Stage.UNCLEAR  # noqa: PLR2004 - the likelier
        return Standing(stage, None, **given)
    return Standing(Stage.ENDS, following, **given)


def _between(
    seen: Figures | Outcomes,
    counts: Sequence[int | None],
    ends: Posterior,
    known: int,
    wanted: Wanted,
) -> Standing:
    """Say which point between the ends to measure, or that the first bad one is found."""
    measured = [index for index, count in enumerate(counts) if count]
    found = posterior(seen.likelihoods(measured))
    # What no measurement tells apart is as likely.
    group = np.searchsorted(measured, np.arange(len(counts)))
    first = found.first[group]
    first /= first.sum()
    usable = [index for index, count in enumerate(counts) if count is not None]
    ranges = list(pairwise(usable))
    shares = [float(first[before + 1 : after + 1].sum()) for before, after in ranges]
    best = int(np.argmax(shares))
    before, after = ranges[best]
    answer = _credible(shares, ranges, wanted.certainty)
    given: dict[str, Any] = {
        "worse": ends.worse,
        "first": tuple(map(float, first)),
        "answer": answer,
        "probability": float(first[answer[0] : answer[1] + 1].sum()),
        "good": found.good,
        "bad": found.bad,
    }
    few = [each for each in (before, after) if (counts[each] or 0) < LEAST_NIGHTS]
    certain = shares[best] >= wanted.certainty
    if certain and not few:
        return Standing(Stage.FOUND, None, **given)
    if known >= wanted.most:
        return Standing(Stage.UNCLEAR, None, **given)
    if certain:
        return Standing(Stage.BETWEEN, few[0], **given)
    return Standing(Stage.BETWEEN, _most_telling(first, group, found, seen), **given)


def _most_telling(
    first: NDArray[np.float64],
    group: NDArray[np.int64],
    found: Posterior,
    seen: Figures | Outcomes,
) -> int:
    """Return the point whose next night is expected to tell most of which is the first bad one.

    That is the mutual information of its figure and the first bad point (D. V. Lindley, Annals of
    Mathematical Statistics 27 (1956), 986-1005). It is often the point that is bad with a
    probability of a half, and an end where its level is what is known least. Of points that tell as
    much, the least measured.

    Args:
        first: probability of each point to be the first bad one.
        group: point → its index in `found`.
        found: what is believed.
        seen: what was measured.
    """
    counts = seen.counts()
    if_good, if_bad = (first[:, None] * each[group] for each in (found.if_good, found.if_bad))
    # A point is bad if the first bad one is it or before it.
    figures = np.cumsum(if_bad, axis=0) + if_good.sum(axis=0) - np.cumsum(if_good, axis=0)
    own = [_entropy(each[group]) * first for each in (found.if_good, found.if_bad)]
    expected = np.cumsum(own[1]) + own[0].sum() - np.cumsum(own[0])
    telling = (_entropy(figures) - expected) * seen.news(found.sd)
    usable = [index for index, count in enumerate(counts) if count is not None]
    return min(usable, key=lambda each: (-round(float(telling[each]), 6), counts[each] or 0))


def _entropy(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    entropy: NDArray[np.float64] = -np.sum(shares * np.log(shares), axis=1)
    return entropy


def _credible(
    shares: Sequence[float], ranges: Sequence[tuple[int, int]], certainty: float
) -> tuple[int, int]:
    """Return the fewest neighbouring points that have the first bad one with this certainty."""
    until = np.concatenate([[0.0], np.cumsum(shares)])
    spans = [
        (ranges[end][1] - ranges[begin][0], ranges[begin][0] + 1, ranges[end][1])
        for begin in range(len(shares))
        for end in range(begin, len(shares))
        if until[end + 1] - until[begin] >= min(certainty, float(until[-1]) - 1e-9)
    ]
    _, begin, end = min(spans)
    return begin, end
