"""Say what past nights let expect of tonight: by items where there are any, else by level. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ci.judge.items import ItemHistory
from ci.judge.level import LevelHistory
from ci.judge.measured import ItemCounts
from ci.judge.spread import p_of_t, t_of_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.judge.measured import Measured, RunNoise
    from ci.judge.scale import Scale

# Nights that make an accepted level, and those that a gain is held by until it is accepted.
ANCHOR_NIGHTS = 20
RECENT_NIGHTS = 10
# The fewest nights that a figure without items can be compared with.
LEAST_NIGHTS = 4
# A run that is so many times its noise below the best run of the night had an accident.
FAR_RUN = 4.0


@dataclass(frozen=True)
class Past:
    """The comparable nights of a check, oldest first.

    Attributes:
        accepted: those of the accepted level.
        recent: the last ones after them: what was gained and not accepted yet is held by them.
    """

    accepted: tuple[Measured, ...]
    recent: tuple[Measured, ...] = ()

    @classmethod
    def of(cls, nights: Sequence[Measured]) -> Past:
        """Split the nights since the level was accepted: the first ones are that level."""
        accepted = tuple(nights[:ANCHOR_NIGHTS])
        later = nights[ANCHOR_NIGHTS:]
        recent = later[-RECENT_NIGHTS:] if len(later) >= RECENT_NIGHTS else ()
        return cls(accepted, tuple(recent))


class Expected(Protocol):
    """What some nights let expect."""

    @property
    def nights(self) -> int:
        """Return their number."""

    def takes(self, run: Measured) -> bool:
        """Whether a further measurement can be compared with the nights."""

    def p_low(self, runs: Sequence[Measured], *, strict: bool = False) -> float:
        """Return the probability of so low runs or lower, were nothing changed."""

    def p_high(self, runs: Sequence[Measured]) -> float:
        """Return the probability of so high runs or higher, were nothing changed."""

    def loss(self, runs: Sequence[Measured]) -> float:
        """Return how much lower the runs are, in points or percent."""

    def centre(self, tonight: Measured) -> float:
        """Return the figure that is expected."""

    def lowest(self, alpha: float, tonight: Measured) -> float | None:
        """Return the lowest figure whose probability is alpha or more; None if unknown."""

    def p_against(
        self,
        runs: Sequence[Measured],
        controls: Sequence[Measured],
        *,
        changed: bool,
    ) -> float:
        """Return the probability of such a loss against control runs, were there none."""


class ExpectedItems:
    """Items, each against its own history."""

    def __init__(self, nights: Sequence[ItemCounts]) -> None:
        """Take the nights; see `ItemHistory`."""
        self._nights = tuple(nights)
        self._history = ItemHistory(nights)

    @property
    def nights(self) -> int:
        """Return the number of nights."""
        return self._history.nights

    def takes(self, run: Measured) -> bool:
        """Whether a measurement has answers to the same items: without them it says nothing."""
        return bool(self._items([run]))

    def p_low(self, runs: Sequence[Measured], *, strict: bool = False) -> float:
        """Return the probability of so few correct answers or fewer, were nothing changed."""
        return self._history.p_low(self._items(runs), strict=strict)

    def p_high(self, runs: Sequence[Measured]) -> float:
        """Return the probability of so many correct answers or more, were nothing changed."""
        return self._history.p_high(self._items(runs))

    def loss(self, runs: Sequence[Measured]) -> float:
        """Return how many points lower the runs are."""
        return self._history.percent - float(np.mean([run.value for run in runs]))

    def centre(self, tonight: Measured) -> float:  # noqa: ARG002 - the same on every host
        """Return the accuracy of all nights together."""
        return self._history.percent

    def lowest(self, alpha: float, tonight: Measured) -> float:  # noqa: ARG002
        """Return the lowest accuracy whose probability is alpha or more."""
        return self._history.lowest(alpha)

    def p_against(
        self,
        runs: Sequence[Measured],
        controls: Sequence[Measured],
        *,
        changed: bool,
    ) -> float:
        """Compare with the control runs, and with the history unless something else changed."""
        theirs = self._items(controls)
        pooled = ItemHistory(theirs if changed else [*self._nights, *theirs])
        return pooled.p_low(self._items(runs), strict=True)

    def _items(self, runs: Sequence[Measured]) -> list[ItemCounts]:
        items = [_in_order(run.items, self._nights[0]) for run in runs]
        return [each for each in items if each is not None]


class ExpectedLevel:
    """A figure against the level of past nights."""

    def __init__(self, history: LevelHistory) -> None:
        """Take the history."""
        self._history = history

    @property
    def nights(self) -> int:
        """Return the number of nights."""
        return self._history.nights

    def takes(self, run: Measured) -> bool:  # noqa: ARG002 - its figure is enough
        """Whether a measurement can be compared: each one."""
        return True

    def p_low(self, runs: Sequence[Measured], *, strict: bool = False) -> float:  # noqa: ARG002
        """Return the probability of so low a mean, were nothing changed."""
        return self._history.p_low(self._without_accidents(runs))

    def p_high(self, runs: Sequence[Measured]) -> float:
        """Return the probability of so high a mean or higher, were nothing changed."""
        return 1 - self.p_low(runs)

    def loss(self, runs: Sequence[Measured]) -> float:
        """Return how many points or percent lower the runs are."""
        return self._history.loss(self._without_accidents(runs))

    def centre(self, tonight: Measured) -> float:
        """Return the figure that is expected on tonight's host."""
        return self._history.centre(tonight.host)

    def lowest(self, alpha: float, tonight: Measured) -> float:
        """Return the figure whose probability is alpha."""
        return self._history.lowest(alpha, tonight.host)

    def interval(self, tonight: Measured, confidence: float) -> tuple[float, float]:
        """Return the figures that a night like tonight lies between, lowest first."""
        level, scale = self._history.level(tonight.host), self._history.scale
        wide = t_of_p((1 + confidence) / 2, level.df) * self._history.spread(level)
        place = scale.place(tonight.value)
        low, high = sorted((scale.value(place - wide), scale.value(place + wide)))
        return low, high

    def p_against(
        self,
        runs: Sequence[Measured],
        controls: Sequence[Measured],
        *,
        changed: bool,  # noqa: ARG002 - nothing but the control runs counts
    ) -> float:
        """Compare the means of both by the noise of a run (Student's t).

        Without a known noise, the spread of nights bounds it.
        """
        sd, df = self._noise_of_runs(runs[0].host)
        groups = [
            np.array(
                [self._history.scale.place(run.value) for run in self._without_accidents(each)]
            )
            for each in (runs, controls)
        ]
        # What is measured tonight also tells how much runs differ.
        squares = df * sd**2 + sum(float(np.sum((x - x.mean()) ** 2)) for x in groups)
        df += sum(len(x) - 1 for x in groups)
        mine, theirs = groups
        se = math.sqrt(squares / df * (1 / len(mine) + 1 / len(theirs)))
        return p_of_t((float(mine.mean()) - float(theirs.mean())) / se, df)

    def _noise_of_runs(self, host: str) -> tuple[float, int]:
        """Return how much runs of a night differ, or what bounds it, and its freedom."""
        level, noise = self._history.level(host), self._history.noise
        sd, df = (noise.sd, noise.df) if noise else (level.sd, level.df)
        return max(sd, self._history.floor), df

    def _without_accidents(self, runs: Sequence[Measured]) -> list[Measured]:
        """Leave out runs far below the best: accidents make a run worse, never better."""
        if len(runs) == 1:
            return list(runs)
        sd, _ = self._noise_of_runs(runs[0].host)
        places = [self._history.scale.place(run.value) for run in runs]
        lowest = max(places) - FAR_RUN * sd
        return [run for run, place in zip(runs, places, strict=True) if place >= lowest]


def expected_of(
    past: Past, tonight: Measured, scale: Scale, noise: RunNoise | None
) -> list[Expected]:
    """Return what the accepted and the recent nights let expect; nothing if they are too few."""
    found = (_expected(nights, tonight, scale, noise) for nights in (past.accepted, past.recent))
    return [each for each in found if each is not None]


def _expected(
    nights: Sequence[Measured], tonight: Measured, scale: Scale, noise: RunNoise | None
) -> Expected | None:
    if scale.kind == "accuracy" and tonight.items is not None:
        same = [_in_order(night.items, tonight.items) for night in nights]
        items = [each for each in same if each is not None]
        if items and len(items) >= len(nights) / 2:
            return ExpectedItems(items)
    if len(nights) < LEAST_NIGHTS:
        return None
    return ExpectedLevel(LevelHistory(nights, scale, noise, tonight.passes))


def _in_order(items: ItemCounts | None, like: ItemCounts) -> ItemCounts | None:
    """Return the same items in the order of another measurement; None if they differ."""
    if items is None or items.passes != like.passes:
        return None
    correct = items.in_order_of(like.ids)
    return None if correct is None else ItemCounts(like.ids, correct, items.passes)
