"""Write what is known of a night's figures before it is judged, for those who watch. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.judge.against import measured_of
from ci.judge.decide import TIMES
from ci.judge.measured import Ask
from ci.record.text import duration, figure
from ci.record.view import AGAIN, WHY

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.judge.asked import Asked
    from ci.judge.examination import Examination
    from ci.judge.so_far import SoFar


def of_figure(asked: Asked, found: SoFar, counted: str) -> tuple[str, ...]:
    """Write a figure that was measured, the most important first.

    Args:
        asked: what is measured.
        found: what is known of it.
        counted: what it is the figure of: `40 items`, `pass 2 of 3`.
    """
    unit = asked.unit
    parts = [figure(found.value, unit)]
    if found.bound is not None:
        side = "at most" if asked.lower_is_better else "at least"
        parts.append(f"{side} {figure(found.bound, unit)}: {found.standing}")
    if found.interval:
        low, high = found.interval
        parts.append(f"95 %: {low:.4g} to {figure(high, unit)}")
    parts.append(counted)
    if found.bound is None:
        parts.append("no bound in the case: judged at the end by earlier nights")
    return tuple(parts)


def of_suspects(
    together: Sequence[Examination], what: Ask, left_s: float
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Write which figures of a benchmark are measured again, and why.

    Args:
        together: the suspects of a benchmark that wait for it, the most telling first.
        what: which version is measured.
        left_s: seconds that further measurements may still take.

    Yields:
        A word and what it is about, as `View.so_far` shows it.
    """
    first = together[0]
    if first.wanted is None:
        return
    had = first.wanted.controls if what is Ask.CONTROL else first.wanted.repeats
    version = "" if what is Ask.REPEAT else ", last good version"
    yield (
        AGAIN,
        (
            f"{first.check.name}{version}, {len(had) + 1} of at most {TIMES}",
            f"budget: {duration(max(left_s, 0.0))} left",
            f"takes about {duration(first.seconds)}",
        ),
    )
    yield WHY, tuple(_why(first, [each.check.metric for each in together[1:]]))


def _why(suspect: Examination, others: Sequence[str]) -> Iterator[str]:
    """Yield how far a figure is from what was expected, and what was measured since."""
    check, wanted = suspect.check, suspect.wanted
    if wanted is None:
        return
    expected = ""
    if wanted.centre:
        centre = wanted.centre(measured_of(suspect.subject.tonight))
        expected = f", {centre:.4g} expected"
    yield f"{check.metric} {figure(check.value, check.unit)}{expected}"
    for words, values in (("again", wanted.repeats), ("last good version", wanted.controls)):
        if values:
            yield f"{words} {', '.join(f'{value:.4g}' for value in values)}"
    yield f"p = {wanted.p:.2g}"
    if others:
        yield f"so are {', '.join(others)}"
