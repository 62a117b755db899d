"""Stretches of time in which something was unusual: are they many, and which are long? Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.case.telemetry import Telemetry

PERIOD_S = 1.0
# A second in which more of the CPU time is taken is a disturbed one: requests wait that long.
DISTURBED_SHARE = 0.2
# Fewer disturbed or lost seconds are not judged: a daemon may use a second of a short evaluation.
MIN_DISTURBED_S = 3.0
# A mean over less time is that of single seconds, which `MIN_DISTURBED_S` judges.
MIN_WINDOW_S = 10.0
# Spells that are closer are one.
JOIN_S = 5.0
MOST_SPELLS = 2


@dataclass(frozen=True)
class Window:
    """When something was measured, in seconds since 1970 on the host's clock.

    Attributes:
        ahead_s: how far the host's clock is ahead of the controller's, whose time reasons have.
    """

    start_s: float
    end_s: float
    ahead_s: float = 0.0

    @property
    def seconds(self) -> float:
        """Return the length of the window."""
        return max(0.0, self.end_s - self.start_s)


@dataclass(frozen=True)
class Stretch:
    """A stretch of time, and how much of something it had: `part` of `whole`."""

    start_s: float
    end_s: float
    part: float
    whole: float
    names: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """Return its length."""
        return self.end_s - self.start_s

    @property
    def share(self) -> float:
        """Return the part as a share of the whole."""
        return self.part / self.whole if self.whole > 0 else 0.0


def within(stretches: Sequence[Stretch], window: Window) -> list[Stretch]:
    """Return the stretches that lie in the window by half at least."""
    middles = ((item, (item.start_s + item.end_s) / 2) for item in stretches)
    return [item for item, middle in middles if window.start_s <= middle <= window.end_s]


def is_taken(
    stretches: Sequence[Stretch], window: Window, percent: float, bounds: Telemetry
) -> bool:
    """Return whether too much CPU time is gone: on average, or all at once for too long."""
    whole = sum(item.whole for item in stretches)
    mean = 100 * sum(item.part for item in stretches) / whole if whole else 0.0
    if window.seconds >= MIN_WINDOW_S and mean > percent:
        return True
    return are_many([item for item in stretches if item.share > DISTURBED_SHARE], window, bounds)


def taken_level(percent: float) -> float:
    """Return the share of CPU time above which a second belongs to a spell of `is_taken`."""
    return min(percent / 100, DISTURBED_SHARE)


def are_many(stretches: Sequence[Stretch], window: Window, bounds: Telemetry) -> bool:
    """Return whether disturbed stretches are more of the window than the case allows."""
    seconds = sum(item.seconds for item in stretches)
    return seconds > max(MIN_DISTURBED_S, bounds.disturbed_percent / 100 * window.seconds)


def spells(
    stretches: Sequence[Stretch], level: float, window: Window, text: Callable[[Stretch], str]
) -> Iterator[str]:
    """Describe the longest spells above a level, in the order of time, and count the others."""
    found: list[Stretch] = []
    for item in stretches:
        if item.share <= level:
            continue
        if found and item.start_s - found[-1].end_s <= JOIN_S:
            found[-1] = _joined(found[-1], item)
        else:
            found.append(item)
    longest = sorted(found, key=lambda spell: -spell.part * spell.seconds)[:MOST_SPELLS]
    more = len(found) - len(longest)
    for number, spell in enumerate(sorted(longest, key=lambda spell: spell.start_s), start=1):
        rest = f", and {more} more times" if more and number == len(longest) else ""
        yield f"{times_text(spell, window)}: {text(spell)}{rest}"


def _joined(first: Stretch, second: Stretch) -> Stretch:
    names = dict(first.names)
    for name, amount in second.names.items():
        names[name] = names.get(name, 0.0) + amount
    return Stretch(
        first.start_s, second.end_s, first.part + second.part, first.whole + second.whole, names
    )


def stretch(
    start_s: float,
    end_s: float,
    part: float = 0.0,
    whole: float = 0.0,
    names: Mapping[str, float] | None = None,
) -> Stretch:
    """Make a stretch; one that would end before its start has no length."""
    return Stretch(start_s, max(start_s, end_s), part, whole, names or {})


def times_text(item: Stretch, window: Window) -> str:
    """Write when a stretch was, as `time_text` does."""
    return f"{time_text(item.start_s, window)}–{time_text(item.end_s, window)}"


def time_text(time_s: float, window: Window) -> str:
    """Write a time of the host by the controller's clock, in UTC."""
    try:
        time = datetime.fromtimestamp(time_s - window.ahead_s, UTC)
    except (ValueError, OverflowError, OSError):
        return "?"
    return f"{time:%H:%M:%S}"
