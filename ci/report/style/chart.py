"""Draw a figure over nights as a small SVG, in the classes of the shared style. Pure.

Shapes tell apart what colours do: a failed night is a cross, one that does not count a ring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from ci.documents.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 12.0, 26.0, 20.0
# The unit stands above the highest number, also in the larger letters of a phone.
_UNIT_AT = 11.0
_ROOM = 0.06
# More is no figure of any night, and differences of such values cannot be computed.
_LARGEST = 1e15
_TICKS = 4
# More single nights than that are a line alone: dots would cover each other.
_MOST_DOTS = 60


@dataclass(frozen=True)
class Point:
    """A night in a chart.

    Attributes:
        label: when it was, e.g. a date.
        value: its figure; None if it has none.
        outcome: of its check: fail is a cross, unknown a ring, anything else a dot or the line.
        baseline: what it is held against; None if nothing holds.
        low: lower end of the band in which it is accepted; None if the band is open there.
        high: upper end likewise.
    """

    label: str
    value: float | None
    outcome: str = "pass"
    baseline: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Change:
    """A night from which on the figure has another level: its index, and a text of some words."""

    index: int
    text: str


def line_chart(  # noqa: PLR0913 - all that a chart shows
    points: Sequence[Point],
    *,
    title: str,
    unit: str = "",
    changes: Sequence[Change] = (),
    width: int = 640,
    height: int = 150,
    key: str = "",
) -> Markup:
    """Draw a figure over nights, the oldest at the left.

    Args:
        points: the nights, the oldest first.
        title: what is drawn; a screen reader reads it with the first, last, least and largest.
        unit: of the values.
        changes: change points.
        width: of the drawing, in its own units; it scales with the page.
        height: likewise.
        key: makes the ids of this drawing unique in its page; letters, digits and hyphens.

    Returns:
        The `svg` element; empty if no night has a value.
    """
    known = [point.value for point in points if _is_number(point.value)]
    if not known:
        return Markup()
    frame = _frame(points, width, height)
    held = [index for index, point in enumerate(points) if _is_held(point)]
    parts = [
        *_axes(frame, points, unit),
        *_band(frame, points, held),
        *_baseline(frame, points, held),
        *_line(frame, points),
        *_changes(frame, changes),
        *_marks(frame, points),
    ]
    ids = Markup(' aria-labelledby="{0}-t {0}-d"').format(key) if key else Markup()
    head = Markup(
        '<svg class="chart" role="img" viewBox="0 0 {} {}"{}><title{}>{}</title><desc{}>{}</desc>'
    ).format(
        width,
        height,
        ids,
        Markup(' id="{}-t"').format(key) if key else Markup(),
        title,
        Markup(' id="{}-d"').format(key) if key else Markup(),
        describe(points, unit, changes),
    )
    # Texts of others are escaped where they are written, in `_text` and in the head.
    return Markup(f"{head}{''.join(parts)}</svg>")  # noqa: S704


def describe(points: Sequence[Point], unit: str, changes: Sequence[Change] = ()) -> str:
    """Say in words what a chart shows."""
    known = [point for point in points if _is_number(point.value)]
    if not known:
        return "no night has a value"
    values = [point.value for point in known if point.value is not None]
    first, last = known[0], known[-1]
    text = (
        f"{counted(len(known), 'night')} from {first.label} to {last.label}: "
        f"first {number(values[0])}, last {number(values[-1])}, least {number(min(values))}, "
        f"largest {number(max(values))}"
        f"{f' {unit}' if unit else ''}"
    )
    failed = sum(point.outcome == "fail" for point in known)
    text += f"; {failed} failed" if failed else ""
    levels = "; ".join(f"{points[each.index].label}: {each.text}" for each in changes)
    return text + (f"; change points: {levels}" if levels else "")


def number(value: float) -> str:
    """Write a number with four digits that matter, without an exponent where it can do without."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:  # noqa: PLR2004 - four digits before the point
        return f"{value:.0f}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class _Frame:
    """Where values are drawn: a linear scale each way."""

    width: float
    height: float
    low: float
    high: float
    count: int

    def x(self, index: float) -> float:
        inner = self.width - _LEFT - _RIGHT
        return _LEFT + (inner / 2 if self.count == 1 else inner * index / (self.count - 1))

    def y(self, value: float) -> float:
        inner = self.height - _TOP - _BOTTOM
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return _TOP + inner * (1 - share)


def _frame(points: Sequence[Point], width: int, height: int) -> _Frame:
    """Choose the scale: all values and baselines; bands are cut where they are far away."""
    values = [
        value
        for point in points
        for value in (point.value, point.baseline)
        if value is not None and _is_number(value)
    ]
    low, high = min(values), max(values)
    reach = max(high - low, abs(high) * 0.02, 1e-9)
    near = [
        end
        for point in points
        for end in (point.low, point.high)
        if end is not None and _is_number(end) and low - reach <= end <= high + reach
    ]
    low, high = min([low, *near]), max([high, *near])
    room = max((high - low) * _ROOM, abs(high) * 0.005, 1e-9)
    return _Frame(width, height, low - room, high + room, len(points))


def _axes(frame: _Frame, points: Sequence[Point], unit: str) -> Iterator[str]:
    right = frame.width - _RIGHT
    for value in _ticks(frame.low, frame.high):
        y = frame.y(value)
        yield _shape("path", "axis", d=f"M{_LEFT:.0f} {y:.1f}H{right:.0f}")
        yield _text(_LEFT - 6, y + 4, number(value), anchor="end")
    if unit:
        yield _text(_LEFT - 6, _UNIT_AT, unit, anchor="end")
    yield _text(_LEFT, frame.height - 5, points[0].label)
    if frame.count > 1:
        yield _text(right, frame.height - 5, points[-1].label, anchor="end")


def _ticks(low: float, high: float) -> Iterator[float]:
    """Yield round numbers between two ends: steps of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (1, 2, 5, 10) if power * each >= raw)
    first = math.ceil(low / step)
    for index in range(first, math.floor(high / step) + 1):
        yield round(index * step, 12)


def _is_held(point: Point) -> bool:
    """Whether it is known what holds in a night: not where nothing was measured."""
    return point.value is not None or point.baseline is not None


def _band(frame: _Frame, points: Sequence[Point], held: Sequence[int]) -> Iterator[str]:
    """Draw the accepted range, as far as it is in the drawing; a lone night has some width."""

    def has(index: int) -> bool:
        return points[index].low is not None or points[index].high is not None

    for within, run in groupby(held, key=has):
        if not within:
            continue
        ends = [
            (
                frame.x(index),
                frame.y(_or(points[index].low, frame.low)),
                frame.y(_or(points[index].high, frame.high)),
            )
            for index in run
        ]
        if len(ends) == 1:
            ((x, low, high),) = ends
            ends = [(x - 3, low, high), (x + 3, low, high)]
        path = "L".join(f"{x:.1f} {high:.1f}" for x, _, high in ends)
        back = "L".join(f"{x:.1f} {low:.1f}" for x, low, _ in reversed(ends))
        yield _shape("path", "band", d=f"M{path}L{back}Z")


def _or(value: float | None, other: float) -> float:
    return other if value is None else value


def _baseline(frame: _Frame, points: Sequence[Point], held: Sequence[int]) -> Iterator[str]:
    """Draw the baseline as steps; it is broken where none holds."""
    half = (frame.x(1) - frame.x(0)) / 2 if frame.count > 1 else 12.0
    for value, run in groupby(held, key=lambda index: points[index].baseline):
        if value is None or not _is_number(value):
            continue
        indices = [*run]
        start = max(frame.x(indices[0]) - half, _LEFT)
        end = min(frame.x(indices[-1]) + half, frame.width - _RIGHT)
        yield _shape("path", "baseline", d=f"M{start:.1f} {frame.y(value):.1f}H{end:.1f}")


def _line(frame: _Frame, points: Sequence[Point]) -> Iterator[str]:
    """Draw the nights as a line; nights without a value do not break it."""
    placed = [
        f"{frame.x(index):.1f} {frame.y(point.value):.1f}"
        for index, point in enumerate(points)
        if point.value is not None and _is_number(point.value)
    ]
    if len(placed) > 1:
        yield _shape("path", "line", d="M" + "L".join(placed))


def _marks(frame: _Frame, points: Sequence[Point]) -> Iterator[str]:
    many = sum(_is_number(point.value) for point in points) > _MOST_DOTS
    last = max(index for index, point in enumerate(points) if _is_number(point.value))
    for index, point in enumerate(points):
        if point.value is None or not _is_number(point.value):
            continue
        x, y = frame.x(index), frame.y(point.value)
        if point.outcome == "fail":
            cross = f"M{x - 4:.1f} {y - 3:.1f}l1-1 3 3 3-3 1 1-3 3 3 3-1 1-3-3-3 3-1-1 3-3z"
            yield _shape("path", "fail", d=cross)
        elif point.outcome == "unknown":
            yield _shape("circle", "unknown", cx=f"{x:.1f}", cy=f"{y:.1f}", r="3")
        elif not many or index == last:
            yield _shape("circle", "dot", cx=f"{x:.1f}", cy=f"{y:.1f}", r="2.5")


def _changes(frame: _Frame, changes: Sequence[Change]) -> Iterator[str]:
    for each in changes:
        x = (frame.x(each.index) + frame.x(max(each.index - 1, 0))) / 2
        yield _shape("path", "change", d=f"M{x:.1f} {_TOP:.0f}V{frame.height - _BOTTOM:.0f}")
        anchor = "end" if x > frame.width * 0.7 else "start"
        yield _text(x + (-4 if anchor == "end" else 4), _TOP - 4, each.text, "change", anchor)


def _is_number(value: float | None) -> bool:
    """Return whether a value can be drawn beside others."""
    return value is not None and abs(value) <= _LARGEST


def _shape(name: str, kind: str, **attributes: str) -> str:
    """Write a shape; its arguments are words and numbers of this module."""
    written = "".join(f' {key}="{value}"' for key, value in attributes.items())
    return f'<{name} class="{kind}"{written}/>'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    """Write a text, which may be of others."""
    class_ = f' class="{kind}"' if kind else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{class_}{side}>{escape(text)}</text>'
