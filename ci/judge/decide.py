"""Decide in two stages whether a version is worse. Pure.

One look at a figure is never enough: a level of 5 % cries wolf every twentieth time, and one of
0.1 % sees little. So a low figure only raises a suspicion. A suspect is measured again, up to three
times; where it stays low, the last good version is measured as often in the same night on the same
hosts, so that a slow night, a slow host and a changed tool are on both sides and cancel. Only a
loss against that is a failure.

The last measurement of tonight's version comes after those of the last good version: what drifts
through the night, such as the heat of the hosts, is then not all on one side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from ci.judge.expected import expected_of
from ci.judge.measured import Ask, Measured, Wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from numpy.typing import NDArray

    from ci.judge.expected import Expected, Past
    from ci.judge.measured import RunNoise
    from ci.judge.scale import Scale

# How often a suspect, and the last good version, are measured again.
TIMES = 3


@dataclass(frozen=True)
class Levels:
    """The probabilities that decide.

    Attributes:
        suspect: of so low a figure, were nothing changed, under which it is measured again.
        clear: of what was measured again, over which the suspicion is dropped.
        fail: of so large a loss against the last good version, under which the check fails.
        environment: of the last good version's own figure, under which the night is at fault.
        environment_loss: the least loss of the last good version that is the night's fault, in
            points or percent.
    """

    suspect: float = 0.08
    clear: float = 0.25
    fail: float = 0.005
    environment: float = 0.001
    environment_loss: float = 5.0


@dataclass(frozen=True)
class Ruling:
    """What was decided, and on what evidence.

    Attributes:
        outcome: pass, fail or unknown.
        finding: why, as a word for each kind of reason.
        p: probability of the evidence, were nothing changed; None if nothing was compared.
        expected: what tonight was compared with; None if there was nothing.
        repeats: the measurements of tonight's version that were asked for.
        controls: those of the last good version.
    """

    outcome: Literal["pass", "fail", "unknown"]
    finding: Literal[
        "as expected",
        "fine when measured again",
        "too little to matter",
        "as the last good version",
        "worse",
        "worse than the last good version",
        "suspect",
        "environment",
        "nothing to compare with",
        "other settings",
        "not valid",
        "answers were cut",
        "unstable",
        "creeping",
    ]
    p: float | None = None
    expected: Expected | None = None
    repeats: tuple[Measured, ...] = ()
    controls: tuple[Measured, ...] = ()


def decide(
    past: Past,
    tonight: Measured,
    scale: Scale,
    levels: Levels,
    noise: RunNoise | None = None,
) -> Generator[Wanted, Measured | None, Ruling]:
    """Rule on one check of one night, asking for further measurements where they can decide.

    Args:
        past: the comparable nights.
        tonight: the measurement.
        scale: of its metric.
        levels: the probabilities that decide.
        noise: of repeated runs, if it is known.

    Yields:
        What is to be measured. Send the measurement; None if it cannot be had.

    Returns:
        The ruling.
    """
    expectations = expected_of(past, tonight, scale, noise)
    ruling = look(expectations, tonight, scale, levels)
    if ruling.finding == "suspect":
        ruling = yield from _measure_again(ruling, levels, TIMES - 1)
    if ruling.finding == "suspect" and ruling.repeats:
        ruling = yield from _measure_last_good(ruling, scale)
        if not _is_as_good(ruling, scale):
            ruling = yield from _measure_again(ruling, levels, TIMES)
    if ruling.finding == "suspect" and ruling.repeats:
        ruling = _judge_against(ruling, expectations, scale, levels)
    return _decided(ruling, levels) if ruling.finding == "suspect" else ruling


def answered(
    deciding: Generator[Wanted, Measured | None, Ruling],
    answer: Callable[[Ask], Measured | None],
) -> Ruling:
    """Answer a judge's questions until it rules.

    Args:
        deciding: as `decide` returns it.
        answer: measures what is asked for; None if it cannot be had.
    """
    try:
        wanted = next(deciding)
        while True:
            wanted = deciding.send(answer(wanted.what))
    except StopIteration as ended:
        ruling: Ruling = ended.value
        return ruling


def look(
    expectations: Sequence[Expected], tonight: Measured, scale: Scale, levels: Levels
) -> Ruling:
    """Look at tonight's figure alone: it is as expected, or suspect.

    Args:
        expectations: what the past lets expect; a gain that nobody accepted has its own.
        tonight: the measurement.
        scale: of its metric.
        levels: the probabilities that decide.
    """
    if not expectations:
        return Ruling("unknown", "nothing to compare with")
    p, expected = min(
        ((each.p_low([tonight]), each) for each in expectations), key=lambda each: each[0]
    )
    if p >= levels.suspect / len(expectations):
        return Ruling("pass", "as expected", p, expected)
    if expected.loss([tonight]) < scale.matters:
        return Ruling("pass", "too little to matter", p, expected)
    return Ruling("unknown", "suspect", p, expected)


def _measure_again(
    ruling: Ruling, levels: Levels, times: int
) -> Generator[Wanted, Measured | None, Ruling]:
    """Measure tonight's version again, until it is clear or was measured so many times."""
    expected = ruling.expected
    while (
        expected
        and len(ruling.repeats) < times
        and (again := (yield wanted_of(Ask.REPEAT, ruling))) is not None
        and expected.takes(again)
    ):
        ruling = replace(ruling, repeats=(*ruling.repeats, again))
        if expected.p_low(ruling.repeats) >= levels.clear:
            return replace(ruling, outcome="pass", finding="fine when measured again")
    return ruling


def _measure_last_good(ruling: Ruling, scale: Scale) -> Generator[Wanted, Measured | None, Ruling]:
    """Measure the last good version as often; once is enough if it is not better."""
    while (
        ruling.expected
        and len(ruling.controls) < TIMES
        and (control := (yield wanted_of(Ask.CONTROL, ruling))) is not None
        and ruling.expected.takes(control)
    ):
        ruling = replace(ruling, controls=(*ruling.controls, control))
        if _is_as_good(ruling, scale):
            break
    return ruling


def _is_as_good(ruling: Ruling, scale: Scale) -> bool:
    """Whether one measurement of the last good version is not better than tonight's."""
    controls = ruling.controls
    return len(controls) == 1 and _mean(ruling.repeats, scale) >= _mean(controls, scale)


def wanted_of(what: Ask, ruling: Ruling) -> Wanted:
    """Return what is asked for a suspect."""
    repeats, controls = (
        tuple(run.value for run in runs) for runs in (ruling.repeats, ruling.controls)
    )
    p = 1.0 if ruling.p is None else ruling.p
    centre = ruling.expected.centre if ruling.expected else None
    return Wanted(what, p, centre, repeats, controls)


def _judge_against(
    ruling: Ruling,
    expectations: Sequence[Expected],
    scale: Scale,
    levels: Levels,
) -> Ruling:
    """Compare the repeated measurements with those of the last good version."""
    expected, repeats, controls = ruling.expected, ruling.repeats, ruling.controls
    if expected is None or not controls:
        return ruling
    # What was gained and never accepted may be lost again without a fault of the night.
    changed = all(each.p_low(controls) < levels.environment for each in expectations)
    p = expected.p_against(repeats, controls, changed=changed)
    if p < levels.fail and _is_lower(repeats, controls, scale):
        return replace(ruling, p=p, outcome="fail", finding="worse than the last good version")
    if changed and min(each.loss(controls) for each in expectations) > levels.environment_loss:
        return replace(ruling, p=p, finding="environment")
    return replace(ruling, p=p, outcome="pass", finding="as the last good version")


def _decided(ruling: Ruling, levels: Levels) -> Ruling:
    """Rule on a suspect that nothing else can be measured for."""
    p = ruling.p
    if ruling.expected is not None and ruling.repeats:
        p = ruling.expected.p_low(ruling.repeats, strict=True)
    if p is not None and p < levels.fail:
        return replace(ruling, p=p, outcome="fail", finding="worse")
    return replace(ruling, p=p)


def _is_lower(repeats: Sequence[Measured], controls: Sequence[Measured], scale: Scale) -> bool:
    """Whether the runs are lower, whatever their noise is.

    Accidents make single runs of performance slow, so that its best run has to be lower.
    """
    if scale.kind == "accuracy":
        return _mean(repeats, scale) < _mean(controls, scale)
    best = float(_places(repeats, scale).max())
    return best < float(np.median(_places(controls, scale)))


def _places(runs: Sequence[Measured], scale: Scale) -> NDArray[np.float64]:
    return np.array([scale.place(run.value) for run in runs])


def _mean(runs: Sequence[Measured], scale: Scale) -> float:
    return float(_places(runs, scale).mean())
