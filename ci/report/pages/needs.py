"""Say which cases need somebody: the last night of each, why, and since when. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.report.pages.standing import Standing, standing_of, unstable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.history.year import YearNight


@dataclass(frozen=True)
class CaseState:
    """A case after its last night.

    Attributes:
        case: its name.
        last: its last night.
        nights: number of its nights in a year.
        failed: number of those that failed.
        since: the first night of the outcome that it has now.
        streak: number of nights with this outcome in a row.
        good: its last night that passed; None if none did.
        standing: what sets it apart; None if it counts like any other.
        unstable: why it is unstable; empty if it is not.
        stale: whether it did not run in the last night of the folder.
    """

    case: str
    last: YearNight
    nights: int
    failed: int
    since: str
    streak: int
    good: YearNight | None
    standing: Standing | None
    unstable: str
    stale: bool

    @property
    def bad(self) -> bool:
        """Whether its last night was no pass."""
        return self.last.outcome != "pass"

    @property
    def counts(self) -> bool:
        """Whether its failure is one that somebody has to look at."""
        return self.standing is None


def states_of(
    nights: Sequence[YearNight], standings: Sequence[Standing]
) -> Mapping[str, CaseState]:
    """Return case → its state, sorted by name.

    Args:
        nights: of all cases, the oldest first.
        standings: of cases at present.
    """
    by_case: defaultdict[str, list[YearNight]] = defaultdict(list)
    for night in nights:
        by_case[night.case].append(night)
    last_day = max((night.day for night in nights), default="")
    return {case: _state(case, by_case[case], standings, last_day) for case in sorted(by_case)}


def _state(
    case: str, nights: Sequence[YearNight], standings: Sequence[Standing], last_day: str
) -> CaseState:
    last = nights[-1]
    row = 0
    for night in reversed(nights):
        if night.outcome != last.outcome:
            break
        row += 1
    passed = (night for night in reversed(nights) if night.outcome == "pass")
    return CaseState(
        case,
        last,
        len(nights),
        sum(night.outcome == "fail" for night in nights),
        nights[-row].day,
        row,
        next(passed, None),
        standing_of(case, last.config, standings),
        unstable(nights),
        last.day < last_day,
    )


def in_need(states: Mapping[str, CaseState]) -> tuple[CaseState, ...]:
    """Return the cases whose last night failed or is unknown and counts, the newest first."""
    bad = [state for state in states.values() if state.bad and state.counts]
    return tuple(
        sorted(bad, key=lambda each: (each.last.outcome != "fail", each.streak, each.case))
    )


def apart(states: Mapping[str, CaseState]) -> tuple[CaseState, ...]:
    """Return the cases that are muted or quarantined, those that fail first."""
    found = [state for state in states.values() if not state.counts]
    return tuple(sorted(found, key=lambda each: (not each.bad, each.case)))


def headline(states: Mapping[str, CaseState]) -> tuple[str, str]:
    """Return the outcome of the last night of all cases, and a sentence about it."""
    tonight = [state for state in states.values() if not state.stale]
    counting = Counter(state.last.outcome for state in tonight if state.counts)
    words = ("failed", "unknown", "running", "passed")
    outcomes = ("fail", "unknown", "running", "pass")
    # Nothing passes because nothing counted.
    worst = next((each for each in outcomes if counting[each]), "unknown")
    parts = [
        f"{counting[outcome]} {word}"
        for outcome, word in zip(outcomes, words, strict=True)
        if counting[outcome]
    ]
    muted = sum(not state.counts for state in tonight)
    if muted:
        parts.append(f"{muted} muted or quarantined")
    of = "1 case" if len(tonight) == 1 else f"{len(tonight)} cases"
    return worst, f"{', '.join(parts)} of {of}"
