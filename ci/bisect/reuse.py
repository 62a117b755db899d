"""Find finished nights that say something of a point. Reads the history and folders of runs."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ci.bisect.model import Measured
from ci.bisect.nights import figure_in, told_by
from ci.errors import UserError
from ci.history.database import opened
from ci.history.differences import differences, not_known
from ci.history.folders import refresh
from ci.history.ledger import load_ledger
from ci.history.store import figures
from ci.history.surroundings import surroundings_of
from ci.judge.against import scale_of, unusable
from ci.judge.comparable import differences as other_settings
from ci.judge.metrics import is_score
from ci.judge.past import CheckId
from ci.judge.spread import winsorized
from ci.paths import BASELINES
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ci.bisect.model import Asked, Point, State
    from ci.history.surroundings import Surroundings
    from ci.judge.past import PastFigure

# Figures of a check that are looked at, the newest.
NIGHTS = 150
# Nights of a point that are reused: more of the same say little, and take none from others.
MOST_OF_A_POINT = 5
# Variables that change no figure: the case's name and what it expects, and this project.
_ALLOWED = frozenset({"case", "Lamplighter"})
_OF_VERSIONS = frozenset({"vLLM", "packages of vLLM"})
# Without these, nobody knows what a night served.
_NEEDED = frozenset({"vLLM", "flags"})
LEAST_DF = 3


def past_figures(
    runs: Path, case: str, asked: Asked, ledgers: Path = BASELINES
) -> list[PastFigure]:
    """Return the valid figures of the history that the nights of a search could have.

    Args:
        runs: the folder of all runs.
        case: name of the case.
        asked: names the figure.
        ledgers: the folder of all ledgers, which have the rejected runs.

    Raises:
        UserError: the history or the ledger is damaged.
        InfrastructureError: the disk fails.
    """
    if not asked.benchmark or not runs.is_dir():
        return []
    rejected = load_ledger(ledgers, case).rejected_runs
    check = CheckId(case, asked.benchmark, asked.metric)
    with opened(runs) as connection:
        refresh(runs, connection, lambda _: None)
        found = figures(connection, check, limit=NIGHTS, with_items=False)
    return [
        each
        for each in found
        if each.purpose in {"night", "bisect"}
        and each.repeat == 0
        and each.run not in rejected
        and not unusable(each, zero=True)
    ]


def noise_in(past: Sequence[PastFigure]) -> tuple[tuple[float, int] | None, int]:
    """Return how much nights differ that differ in nothing known, and the runs of each of them.

    The pooled standard deviation on the figures' scale, accidents brought near, and its degrees of
    freedom; None if there are too few. Nights of as many runs as most of them have count.

    Args:
        past: figures of one check.
    """
    runs = Counter(each.passes for each in past).most_common(1)[0][0] if past else 1
    past = [each for each in past if each.passes == runs]
    groups: dict[object, list[float]] = defaultdict(list)
    for each in past:
        key = each.series, each.vllm, each.environment, each.conditions, each.questions
        groups[key].append(scale_of(each).place(each.value))
    squares, df = 0.0, 0
    for values in groups.values():
        near = winsorized(np.array(values))
        squares += float(np.sum((near - near.mean()) ** 2))
        df += len(values) - 1
    return ((float(np.sqrt(squares / df)), df) if df >= LEAST_DF else None), runs


def reused(
    state: State, night: Measured, runs: Path, past: Sequence[PastFigure]
) -> tuple[Measured, ...]:
    """Return finished nights that differ from a night of the search in nothing but the point.

    Between versions, what differs is in the record of each night, so that a night of one point
    vouches for those of all. Otherwise it vouches for its own point.

    Args:
        state: the search.
        night: of the search; it counts.
        runs: the folder of all runs.
        past: as of `past_figures`.
    """
    own = figure_in(runs / night.run, state.asked)
    if own is None:
        return ()
    known = {each.run for each in state.nights}
    found: list[Measured] = []
    counts = {
        point.name: sum(each.reused for each in state.nights if each.point == point.name)
        for point in state.points
    }
    for figure in reversed(past):
        point = _point_of(figure, state, night)
        if point is None or figure.run in known or counts[point.name] >= MOST_OF_A_POINT:
            continue
        if not _is_alike(figure, own, runs, across=point.name != night.point):
            continue
        counts[point.name] += 1
        known.add(figure.run)
        found.append(
            Measured.model_validate(
                {"point": point.name, "run": figure.run, "reused": True, **told_by(figure)}
            )
        )
    return tuple(found)


def _point_of(figure: PastFigure, state: State, night: Measured) -> Point | None:
    """Return the point that a past night may be one of; None if it is of none."""
    if state.axis != "vllm":
        return next(point for point in state.points if point.name == night.point)
    version = figure.vllm.partition("+")[0]
    return next((point for point in state.points if point.vllm == version), None)


def _is_alike(figure: PastFigure, own: PastFigure, runs: Path, *, across: bool) -> bool:
    """Whether nothing known differs between a past night and one of the search but its point."""
    if figure.series != own.series or other_settings(own, figure):
        return False
    # A speed of fewer runs is one of more noise; a score of fewer answers is another score.
    passes = {each.conditions.passes for each in (figure, own) if each.conditions}
    if is_score(own.metric) and len(passes) > 1:
        return False
    try:
        before, after = (_around(runs / run) for run in (figure.run, own.run))
    except UserError:  # its folder is gone or damaged
        return False
    if _NEEDED & set(not_known(before, after)):
        return False
    allowed = _ALLOWED | (_OF_VERSIONS if across else frozenset())
    return {each.variable for each in differences(before, after)} <= allowed


def _around(folder: Path) -> Surroundings:
    """Return what surrounded the figures of a night; how often it measured is looked at before."""
    found = surroundings_of(read_run(folder))
    settings = {name: replace(each, passes=1) for name, each in found.settings.items()}
    return replace(found, settings=settings)
