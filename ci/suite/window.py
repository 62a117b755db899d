"""Turn a window of times of day into a start and an end. Pure.

All times are local, without a time zone, as people write them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ci.suite.model import Window

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Span:
    """When nights run: from `start`, and no longer than `until`, if that is not None."""

    start: dt.datetime
    until: dt.datetime | None


def span_of(now: dt.datetime, window: Window | None, until: str = "") -> Span:
    """Return when the nights of a window run: now, if it is open, else from its next start.

    Args:
        now: the present.
        window: of the suite or the run type; None for any time.
        until: time of day that replaces the window's own; empty for that.
    """
    start = window.start if window else None
    end = until or (window.until if window else None)
    if start is None:
        return Span(now, _next(now, end) if end else None)
    opened = _next(now, start) - _DAY
    if end is None:
        same_day = opened.date() == now.date()
        return Span(now if same_day else opened + _DAY, None)
    closes = _next(opened, end)
    if now < closes:
        return Span(now, closes)
    return Span(opened + _DAY, _next(opened + _DAY, end))


def _next(after: dt.datetime, clock: str) -> dt.datetime:
    """Return the first moment after another one at which a clock shows this time."""
    hour, minute = map(int, clock.split(":"))
    same_day = after.replace(hour=hour, minute=minute, second=0, microsecond=0)
    return same_day if same_day > after else same_day + _DAY
