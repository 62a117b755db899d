"""Judge one check of a night by what earlier nights and the accepted baseline say. Pure.

The order: is tonight's figure valid at all; which earlier nights are comparable; were answers cut;
is the figure lower than they let expect; do good and bad nights alternate; does it creep.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from ci.judge.against import (
    accepted_nights,
    measured_of,
    other_host,
    other_settings,
    scale_of,
    unusable,
    written_baseline,
)
from ci.judge.baseline import NONE_YET, Holding
from ci.judge.comparable import ALL_CUT, History, comparable
from ci.judge.creep import creeping
from ci.judge.decide import Levels, Ruling, decide
from ci.judge.expected import LEAST_NIGHTS, ExpectedItems, Past, expected_of
from ci.judge.measured import RunNoise
from ci.judge.metrics import is_score
from ci.judge.spread import without_accidents
from ci.judge.written import Written, against_written

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence

    from ci.judge.measured import Measured, Wanted
    from ci.judge.past import PastFigure
    from ci.judge.scale import Scale

# Repeated runs of earlier nights tell the noise of a run from so many differences on.
LEAST_DF = 6
# Answers that reached their maximum length are many more than ever, if chance does so in one of
# a thousand nights, and one in a hundred answers more was cut.
MORE_CUT_IS_CHANCE = 0.001
MORE_CUT_MATTERS = 0.01
# Good and bad nights alternate, if so many times a bad night was followed by a good one.
NIGHTS_BACK = 12
TIMES_BAD = 3


@dataclass(frozen=True)
class Subject:
    """What is judged, and by what.

    Attributes:
        tonight: the figure.
        past: figures of the same check of other nights, in any order.
        holding: the accepted baseline.
        rejected: run → why its figures do not count.
        levels: the probabilities that decide.
        same_vllm: whether only nights of the same build of vLLM count.
    """

    tonight: PastFigure
    past: tuple[PastFigure, ...] = ()
    holding: Holding = field(default_factory=lambda: Holding(None, reason=NONE_YET))
    rejected: Mapping[str, str] = field(default_factory=dict)
    levels: Levels = field(default_factory=Levels)
    same_vllm: bool = False


@dataclass(frozen=True)
class Evidence:
    """What was found.

    Attributes:
        ruling: outcome, and what it was decided by.
        doubt: why tonight's figure cannot be judged, or what else was found; may be empty.
        history: the comparable nights, and why others are not.
        scale: of the metric.
        more: whether the figure is better than chance explains.
    """

    ruling: Ruling
    doubt: str
    history: History
    scale: Scale
    more: bool = False


def examine(subject: Subject) -> Generator[Wanted, PastFigure | None, Evidence]:
    """Judge a check, asking for further measurements where they can decide.

    Args:
        subject: what is judged, and by what.

    Yields:
        What is to be measured. Send its figure; None if it cannot be had.

    Returns:
        The evidence.
    """
    tonight = subject.tonight
    scale = scale_of(tonight)
    history = comparable(
        tonight, subject.past, rejected=subject.rejected, same_vllm=subject.same_vllm
    )
    finding = _not_judged(subject)
    nights = accepted_nights(history.figures, subject.holding)
    # Where all answers are cut that never were, the last ones say no less than those before them.
    worse = more_cut(tonight, nights, subject.levels) if finding in {"", ALL_CUT} else ""
    if worse:
        return Evidence(Ruling("fail", "answers were cut"), worse, history, scale)
    if finding:
        return Evidence(Ruling("unknown", "not valid"), finding, history, scale)
    changed = other_settings(tonight, nights, history, subject.holding)
    if not changed and len({night.run for night in nights}) < LEAST_NIGHTS:
        changed = other_host(tonight, nights, subject.holding)
    if changed:
        written = written_baseline(subject.holding, scale)
        return Evidence(
            Ruling("unknown", "other settings", expected=written), changed, history, scale
        )
    deciding = _deciding(subject, nights, scale)
    ruling = yield from _translated(deciding)
    if ruling.outcome == "pass" and (unstable := alternating(history.figures)):
        ruling = replace(ruling, outcome="unknown", finding="unstable")
        return Evidence(ruling, unstable, history, scale)
    accepted = subject.holding.accepted
    if ruling.outcome == "pass" and (
        creep := creeping(tonight, _once_a_night(nights), accepted, scale)
    ):
        ruling = replace(ruling, outcome="unknown", finding="creeping")
        return Evidence(ruling, creep, history, scale)
    return Evidence(ruling, "", history, scale, _is_better(ruling, tonight, subject.levels))


def _not_judged(subject: Subject) -> str:
    """Return why tonight's figure says nothing; empty if it does.

    Where nobody has seen the model answer anything, a score of 0 is no sign that nothing ran.
    """
    tonight, past = subject.tonight, subject.past
    if any(night.run == tonight.run and night.repeat == tonight.repeat for night in past):
        return f"{tonight.run} was judged before: nothing was measured tonight"
    # Two measurements cannot begin in the same millisecond on the same hosts.
    copied = next((night.run for night in past if _same(night, tonight)), "")
    if copied:
        return f"a copy of {copied}: nothing was measured tonight"
    known = [subject.holding.value or 0.0, *(night.value for night in past)]
    return unusable(tonight, zero=max(known) <= 0)


def _same(night: PastFigure, tonight: PastFigure) -> bool:
    keys = [(each.started_at, each.series, each.value) for each in (night, tonight)]
    return keys[0] == keys[1]


def _deciding(
    subject: Subject, nights: Sequence[PastFigure], scale: Scale
) -> Generator[Wanted, Measured | None, Ruling]:
    """Choose what decides: the nights, where they are enough, else the written baseline."""
    tonight, holding = measured_of(subject.tonight), subject.holding
    past = Past.of([measured_of(night) for night in _once_a_night(nights)])
    noise = noise_of(nights, scale, tonight.passes)
    if holding.value is None or expected_of(past, tonight, scale, noise):
        return decide(past, tonight, scale, subject.levels, noise)
    return against_written(written_baseline(holding, scale), tonight, subject.levels)


def _translated(
    deciding: Generator[Wanted, Measured | None, Ruling],
) -> Generator[Wanted, PastFigure | None, Ruling]:
    """Ask for figures of runs, and hand on what of them is compared.

    A broken measurement tells nothing: it is as if it could not be had.
    """
    try:
        question = next(deciding)
        while True:
            answer = yield question
            valid = answer is not None and not unusable(answer)
            question = deciding.send(measured_of(answer) if answer and valid else None)
    except StopIteration as ended:
        ruling: Ruling = ended.value
        return ruling


def _once_a_night(nights: Sequence[PastFigure]) -> list[PastFigure]:
    """Return the first measurement of each night: the others were asked for in doubt."""
    first: dict[str, PastFigure] = {}
    for night in nights:
        first.setdefault(night.run, night)
    return list(first.values())


def knows_noise(subject: Subject) -> bool:
    """Whether items or repeated runs tell how much measurements of one night differ."""
    history = comparable(
        subject.tonight, subject.past, rejected=subject.rejected, same_vllm=subject.same_vllm
    )
    nights = accepted_nights(history.figures, subject.holding)
    tonight, scale = measured_of(subject.tonight), scale_of(subject.tonight)
    noise = noise_of(nights, scale, tonight.passes)
    past = Past.of([measured_of(night) for night in _once_a_night(nights)])
    expected = expected_of(past, tonight, scale, noise)
    return noise is not None or any(isinstance(each, ExpectedItems) for each in expected)


def noise_of(nights: Sequence[PastFigure], scale: Scale, passes: int = 1) -> RunNoise | None:
    """Return how much measurements of one night differ; None if too few were repeated.

    The pooled standard deviation of a pass, around the mean of each measurement's passes and of
    each night's measurements, without accidents; of a mean of several passes, it is divided by the
    square root of their number.

    Args:
        nights: the figures.
        scale: of the metric.
        passes: number of passes of tonight's figure.
    """
    repeated = [np.array(each) for each in _repeated(nights, scale)]
    if not repeated:
        return None
    apart = np.concatenate([each - np.median(each) for each in repeated])
    near = without_accidents(apart, scale.floor)
    squares, df, at = 0.0, 0, 0
    for each in repeated:
        kept = each[near[at : at + len(each)]]
        at += len(each)
        if len(kept) > 1:
            squares += float(np.sum((kept - kept.mean()) ** 2))
            df += len(kept) - 1
    return RunNoise(float(np.sqrt(squares / df / passes)), df) if df >= LEAST_DF else None


def _repeated(nights: Sequence[PastFigure], scale: Scale) -> Iterator[list[float]]:
    """Yield the places of what was repeated: passes, and measurements, spread as single passes."""
    measured: dict[tuple[str, str, str], list[float]] = {}
    for night in nights:
        if scale.kind == "performance" and min((night.value, *night.runs)) <= 0:
            continue
        if night.passes > 1:
            yield [scale.place(each) for each in night.runs]
        place = scale.place(night.value) * math.sqrt(night.passes)
        measured.setdefault((night.run, night.vllm, night.benchmark), []).append(place)
    yield from (each for each in measured.values() if len(each) > 1)


def more_cut(tonight: PastFigure, nights: Sequence[PastFigure], levels: Levels) -> str:
    """Return what was cut, if many more answers reached their maximum length than ever.

    Fisher's exact test, one-sided, of tonight against all comparable nights. One look decides, so
    that it has to be as rare as both stages of other figures together.
    """
    if not is_score(tonight.metric) or not nights or tonight.cut <= 0:
        return ""
    answers = [each.n_items or each.n for each in nights]
    before, asked = sum(each.cut for each in nights), sum(answers)
    n = tonight.n_items or tonight.n
    if not asked or not n or tonight.cut / n < before / asked + MORE_CUT_MATTERS:
        return ""
    from scipy.stats import hypergeom  # noqa: PLC0415 - slow to import, and rarely needed

    p = float(hypergeom.sf(tonight.cut - 1, asked + n, before + tonight.cut, n))
    if p >= min(MORE_CUT_IS_CHANCE, levels.suspect * levels.fail):
        return ""
    usual = before / len(nights)
    return (
        f"{tonight.cut} of {n} answers reached the maximum length, where {usual:.3g} used to "
        f"(p = {p:.1g}): outputs grew, or loop"
    )


def alternating(figures: Sequence[PastFigure]) -> str:
    """Return how often bad nights were followed by good ones lately; empty if that is rare."""
    outcomes = [
        night.outcome
        for night in _once_a_night(figures)[-NIGHTS_BACK:]
        if night.outcome in {"pass", "fail"}
    ]
    turns = sum(pair == ("fail", "pass") for pair in itertools.pairwise(outcomes))
    if outcomes[-1:] == ["fail"]:
        turns += 1
    if turns < TIMES_BAD:
        return ""
    bad = outcomes.count("fail")
    return f"{bad} of the last {len(outcomes)} nights failed, each time good again later: unstable"


def _is_better(ruling: Ruling, tonight: PastFigure, levels: Levels) -> bool:
    """Whether the figure is better than chance explains."""
    expected = ruling.expected
    if ruling.outcome != "pass" or expected is None:
        return False
    if isinstance(expected, Written):
        return expected.is_above(measured_of(tonight))
    run = measured_of(tonight)
    gain = -expected.loss([run])
    return gain >= scale_of(tonight).matters and expected.p_high([run]) < levels.fail
