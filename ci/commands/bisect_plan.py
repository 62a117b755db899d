"""Say what a bisection would do: its points, how many nights it takes, and how long."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from ci.bisect import told
from ci.bisect.search import noise_of, scale_asked, standing_of
from ci.case.repeats import AUTO
from ci.documents.counted import counted
from ci.history.database import FILE, opened
from ci.history.durations import durations
from ci.judge.bisection import LEAST_NIGHTS, LEAST_OF_ALIKE
from ci.judge.bisection_drawn import Drawn, draw
from ci.judge.passes import OF_PERFORMANCE
from ci.record.text import duration
from ci.suite.durations import expected

if TYPE_CHECKING:
    from pathlib import Path

    from ci.bisect.model import State

# The loss of the searches that are drawn, unless smaller ones do not matter.
LOSS = 5.0


def plan_of(state: State, runs: Path) -> str:
    """Return the plan of a search as text.

    Args:
        state: the search.
        runs: the folder of all runs, with their history.
    """
    asked, points = state.asked, state.points
    low, middle, high = 4, 4, 4
    what = "of ends that differ, without noise"
    if asked.benchmark:
        noise = noise_of(state.axis, asked, [each for each in state.nights if each.counts])
        drawn = Drawn(
            points=sum(point.name not in state.skipped for point in points),
            drop=max(LOSS, 2 * asked.matters),
            # What both have together is as noise.
            noise=noise.sd / math.sqrt(2),
            night=noise.sd / math.sqrt(2),
            runs=_runs(state),
            certainty=asked.certainty,
            matters=asked.matters,
            assumed=noise.sd,
            nights=asked.nights,
        )
        low, middle, high = draw(drawn)
        source = "measured in the history" if asked.noise else "assumed"
        what = f"of a loss of {drawn.drop:g} and a noise of {noise.sd:.2g} ({source})"
    else:
        middle = 4 + 2 * (len(points) - 2).bit_length()
        high = middle
    ends = f"from {points[0].name} (good) to {points[-1].name} (bad)"
    if asked.odd:
        ends = "of which one is bad"
        several = LEAST_NIGHTS * len(points)
        low, middle, high = len(points) + 1, several, LEAST_OF_ALIKE * len(points)
        what = "of one host that is slow by 5 %"
    most = counted(asked.nights, "night")
    lines = [
        f"case   {state.case}: {told.check_of(asked)}",
        f"points {len(points)} on axis {state.axis}, {ends}",
        f"nights about {middle}, {low} to {high} in 8 of 10 searches {what}",
        f"answer with a certainty of {asked.certainty:g}, after at most {most}",
        f"time   {_time(state, runs, middle)}",
        "",
        told.evidence(state, standing_of(state)).rstrip("\n"),
        "",
    ]
    return "\n".join(lines) + "\n"


def _runs(state: State) -> int:
    """Return how often a night measures, as far as that is known before the first one."""
    known = [len(each.runs) for each in state.nights if each.counts and not each.reused]
    if known:
        return max(known[-1], 1)
    repeats = state.asked.repeats
    if repeats != AUTO:
        return int(repeats)
    return 1 if scale_asked(state.asked).kind == "accuracy" else OF_PERFORMANCE


def _time(state: State, runs: Path, nights: int) -> str:
    own = [each.seconds for each in state.nights if each.counts and not each.reused]
    if own:
        seconds = statistics.median(own)
        return f"about {duration(seconds * nights)} in all, {duration(seconds)} a night so far"
    past: dict[tuple[str, str], list[float]] = {}
    if (runs / FILE).is_file():
        with opened(runs) as connection:
            past = {key: list(times) for key, times in durations(connection).items()}
    seconds, basis = expected(state.case, "", past, None, 0.0)
    if basis != "past":
        return "unknown: the history has no night of this case"
    return f"about {duration(seconds * nights)}, {duration(seconds)} a night by the history"
