"""Search the first bad point: measure, believe, choose the next. Writes bisect.json."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import ValidationError

from ci.bisect.model import Measured, State
from ci.bisect.nights import DIGITS
from ci.bisect.told import progress
from ci.documents.counted import counted
from ci.errors import InfrastructureError, UserError
from ci.judge.bisection import Figures, Outcomes, Wanted, standing
from ci.judge.flips import assumed, offset_of
from ci.judge.metrics import kind_of, lower_is_better, unit_of
from ci.judge.night_noise import Noise
from ci.judge.odd_one import odd_one
from ci.judge.scale import Scale
from ci.record.disk import Folder
from ci.record.stored import BISECTION as FILE
from ci.record.stored import summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from ci.bisect.model import Asked, Axis, Point
    from ci.judge.bisection import Standing

# Nights of a point without a figure, after which it is skipped.
MOST_WITHOUT_FIGURE = 3
# Nights in a row that the hosts or the network ended, after which the search stops.
MOST_LOST = 2
# Noise of a performance that is assumed until it is measured, in percent; of a count in spreads.
# What the history knows is of other nights: these count as much, from so many on.
MOST_DF = 12
# Of the least by which levels of two groups of healthy hosts differ, a host's own offset.
BETWEEN_HOSTS = 0.5
ASSUMED = {"performance": 2.0, "count": 1.0, "share": 1.0, "accuracy": 1.0}


@dataclass(frozen=True)
class Search:
    """A search with its effects.

    Attributes:
        folder: its own, with bisect.json.
        measure: runs a night of a point; returns it, and finished ones that it vouches for.
        tell: shows a line.
        stopped: whether the operator asked to stop.
    """

    folder: Path
    measure: Callable[[State, Point], tuple[Measured, ...]]
    tell: Callable[[str], None]
    stopped: Callable[[], bool]

    def run(self, state: State) -> tuple[State, Standing]:
        """Measure until the first bad point is found, or nothing more can be said.

        Args:
            state: as it was begun or stopped.

        Returns:
            The last state, and what is known.

        Raises:
            InfrastructureError: hosts or the network ended several nights in a row.
            UserError: the disk cannot be written.
        """
        lost = 0
        while True:
            known = standing_of(state)
            self._save(state)
            if known.next is None or self.stopped():
                return state, known
            point = state.points[known.next]
            nights = self.measure(state, point)
            night = nights[0]
            if self.stopped() and not night.counts:
                return state, known
            for each in nights:
                state = with_night(state, each)
                self.tell(progress(state, each, standing_of(state)))
            self._save(state)
            lost = lost + 1 if night.failed == "hosts" else 0
            if lost >= MOST_LOST:
                raise InfrastructureError(
                    f"{lost} nights in a row say nothing of their points, the last one: "
                    f"{night.reason}; correct that, then go on with "
                    f"`inv bisect --resume {self.folder}`"
                )

    def _save(self, state: State) -> None:
        save(self.folder, state)


def save(folder: Path, state: State) -> None:
    """Write the state atomically.

    Raises:
        UserError: it cannot be written: a search that forgets its nights must not go on.
    """
    warnings: list[str] = []
    written = Folder(folder, warnings.append, "the search stops")
    if not written.write(FILE, state.model_dump_json(indent=2) + "\n"):
        raise UserError(" ".join(warnings))


def load(folder: Path) -> State:
    """Read the state of a search.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = folder / FILE
    try:
        return State.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path}: {error.strerror}; --resume takes the folder of a bisection, runs/ID"
        ) from None
    except ValidationError as error:
        raise UserError(f"{path} is damaged: {summary_of(error)}; begin a new bisection") from None


def with_night(state: State, night: Measured) -> State:
    """Return the state with one night more; its point is skipped if it cannot be measured."""
    nights = (*state.nights, night)
    skipped = dict(state.skipped)
    empty = [each for each in nights if each.point == night.point and each.failed == "figure"]
    some = any(each.counts for each in nights if each.point == night.point)
    if night.failed == "start" and not some:
        skipped[night.point] = night.reason
    elif night.failed == "figure" and not some and len(empty) >= MOST_WITHOUT_FIGURE:
        skipped[night.point] = f"{counted(len(empty), 'night')} without a figure: {night.reason}"
    return state.model_copy(update={"nights": nights, "skipped": skipped})


def scale_asked(asked: Asked) -> Scale:
    """Return the scale of the figure."""
    metric = asked.metric
    return Scale(kind_of(metric), lower_is_better(metric, unit_of(metric)))


def noise_of(axis: Axis, asked: Asked, nights: Sequence[Measured]) -> Noise:
    """Return what is known of the noise before the nights of a search are compared.

    Of a score, points differ by more than repeats of one show: another kernel flips answers. So do
    healthy hosts.

    Args:
        axis: what differs between the points.
        asked: has what the history knows.
        nights: those that count.
    """
    scale = scale_asked(asked)
    guess, offset = (
        ASSUMED[scale.kind],
        BETWEEN_HOSTS * scale.between_hosts if axis == "host" else 0.0,
    )
    if scale.kind == "accuracy":
        shares = [each.value / 100 for each in nights if each.value is not None]
        items = [each.n / max(len(each.runs), 1) for each in nights if each.n]
        right = statistics.fmean(shares) if shares else 0.5
        guess = assumed(right, max(round(statistics.median(items or [100])), 1))
        known = offset_of(_answers(nights))
        offset = guess if known is None else known
    if asked.noise:
        sd, df = asked.noise
        sd = max(sd, scale.floor)
        return Noise(sd, float(min(df, MOST_DF)), scale.floor, offset, asked.noise_runs)
    return Noise(max(guess, scale.floor), 0.0, scale.floor, offset)


def _answers(nights: Sequence[Measured]) -> list[list[NDArray[np.float64]]]:
    """Return point → night → share of right answers of each item; the points as they came.

    Only nights with the questions of the first one are compared.
    """
    known = [each for each in nights if each.right]
    found: dict[str, list[NDArray[np.float64]]] = {}
    for each in known:
        same = each.questions == known[0].questions and len(each.right) == len(known[0].right)
        if same:
            right = np.array([DIGITS.index(digit) for digit in each.right], dtype=float)
            found.setdefault(each.point, []).append(right / max(len(each.runs), 1))
    return list(found.values())


def nights_of(state: State, point: str) -> list[Measured]:
    """Return the nights of a point that count."""
    return [each for each in state.nights if each.point == point and each.counts]


def standing_of(state: State) -> Standing:
    """Say what is known of a search, and which point to measure next."""
    asked = state.asked
    counting = sum(each.counts for each in state.nights)
    run = sum(not each.reused for each in state.nights)
    # Reused nights cost nothing; those that do not count cost as much as others.
    wanted = Wanted(asked.certainty, asked.nights + counting - run)
    return (odd_one if asked.odd else standing)(seen_of(state), wanted)


def seen_of(state: State) -> Figures | Outcomes:
    """Return what was measured, in the form that judging takes."""
    asked = state.asked
    nights = [
        None if point.name in state.skipped else nights_of(state, point.name)
        for point in state.points
    ]
    if not asked.benchmark:
        return Outcomes(tuple(None if each is None else _counted(each) for each in nights))
    scale = scale_asked(asked)
    places = tuple(
        None if each is None else tuple(_places(scale, night) for night in each) for each in nights
    )
    counting = [each for each in state.nights if each.counts]
    return Figures(places, noise_of(state.axis, asked, counting), asked.matters)


def _places(scale: Scale, night: Measured) -> tuple[float, ...]:
    """Return the places of the runs of a night; they are around that of its figure."""
    middle = scale.place(night.value or 0.0)
    runs = [scale.place(each) for each in night.runs] or [middle]
    mean = statistics.fmean(runs)
    # A percentile of all requests is not the mean of those of the runs.
    return tuple(each - mean + middle for each in runs)


def _counted(nights: Sequence[Measured]) -> tuple[int, int]:
    good = sum(bool(each.good) for each in nights)
    return good, len(nights) - good
