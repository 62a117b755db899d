"""Say what changed around the nights, how the hosts do, and what they were used for. Pure."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ci.history.year import YearNight

DAYS = 30
# Ends of nights that are a host's, if their message names it.
OF_HOSTS = frozenset(
    {
        *("ConnectionLost", "HostUnreachable", "HostKeyRefused", "FilesRefused", "HostLost"),
        *("CommandTimedOut", "PreparationFailed", "NotHandedBack"),
    }
)
_DIGITS = 8


@dataclass(frozen=True)
class Changed:
    """A change around the nights, of one or several cases.

    Attributes:
        day: the first night with it.
        what: vLLM, packages or devices.
        old: its value in the night before.
        new: its value from then on.
        cases: the cases with this change.
        before: the run before, of the first of these cases.
        after: its run with the change.
    """

    day: str
    what: str
    old: str
    new: str
    cases: tuple[str, ...]
    before: str
    after: str


@dataclass(frozen=True)
class HostHealth:
    """A host over the last 30 days.

    Attributes:
        name: of the host.
        runs: number of runs on it.
        lost: number of those that ended early because of it.
        hours: in which runs used it.
        year: the hours of a year.
        problem: the last one; empty if there was none.
        problem_at: the night of it.
        last: the last night on it.
    """

    name: str
    runs: int
    lost: int
    hours: float
    year: float
    problem: str
    problem_at: str
    last: str


@dataclass(frozen=True)
class Hours:
    """Host hours of a month: those of nights, and of runs beside them such as control runs."""

    month: str
    nights: float
    beside: float
    runs: int


def changes_of(nights: Iterable[YearNight]) -> tuple[Changed, ...]:
    """List the changes around the nights of each case, the newest first.

    Args:
        nights: of all cases, the oldest first.
    """
    last: dict[tuple[str, str], tuple[str, YearNight]] = {}
    found: defaultdict[tuple[str, str, str, str], list[tuple[YearNight, YearNight]]]
    found = defaultdict(list)
    for night in nights:
        for what, value in _surroundings(night):
            if not value or not night.day:
                continue
            old, before = last.get((night.case, what), (value, night))
            if old != value:
                found[night.day, what, old, value].append((before, night))
            last[night.case, what] = value, night
    listed = (
        Changed(
            *(day, what, old, new),
            tuple(sorted({after.case for _, after in pairs})),
            pairs[0][0].run,
            pairs[0][1].run,
        )
        for (day, what, old, new), pairs in found.items()
    )
    order = ("vLLM", "packages", "devices")
    return tuple(
        sorted(
            listed, key=lambda each: (_backwards(each.day), order.index(each.what), each.cases[0])
        )
    )


def _surroundings(night: YearNight) -> Iterable[tuple[str, str]]:
    yield "vLLM", night.vllm
    yield "packages", night.environment[:_DIGITS]
    yield "devices", night.device_name


def _backwards(day: str) -> int:
    return -int(day.replace("-", ""))


def hosts_of(runs: Sequence[YearNight], today: str) -> tuple[HostHealth, ...]:
    """Say how each host of the last 30 days does, those with problems first.

    Args:
        runs: all of a year, also those that belong to a night, the oldest first.
        today: the last night.
    """
    since = _days_before(today, DAYS)
    by_host: defaultdict[str, list[YearNight]] = defaultdict(list)
    for run in runs:
        for host in run.hosts:
            by_host[host].append(run)
    found = [
        _health(name, listed, since) for name, listed in by_host.items() if listed[-1].day > since
    ]
    return tuple(sorted(found, key=lambda host: (-host.lost, host.name)))


def _health(name: str, runs: Sequence[YearNight], since: str) -> HostHealth:
    recent = [run for run in runs if run.day > since]
    lost = [run for run in recent if is_lost_to(run, name)]
    return HostHealth(
        name,
        len(recent),
        len(lost),
        sum(run.seconds for run in recent) / 3600,
        sum(run.seconds for run in runs) / 3600,
        lost[-1].cause if lost else "",
        lost[-1].day if lost else "",
        recent[-1].day,
    )


def is_lost_to(run: YearNight, host: str) -> bool:
    """Return whether a host ended a run early: its only one, or one that the cause names."""
    if run.cause_kind not in OF_HOSTS:
        return False
    named = re.search(rf"(?<![\w.-]){re.escape(host)}(?![\w-])", run.cause)
    return run.hosts == (host,) or named is not None


def hours_of(runs: Iterable[YearNight]) -> tuple[Hours, ...]:
    """Add up the host hours of each month, the newest first.

    Args:
        runs: also those that belong to a night.
    """
    nights: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    for run in runs:
        month = run.day[:7]
        used = nights if run.purpose == "night" else beside
        used[month] += run.seconds * max(len(run.hosts), 1) / 3600  # type: ignore[assignment]
        counts[month] += 1
    months = sorted(filter(None, counts), reverse=True)
    return tuple(Hours(month, nights[month], beside[month], counts[month]) for month in months)


def _days_before(day: str, count: int) -> str:
    return (date.fromisoformat(day) - timedelta(days=count)).isoformat()
