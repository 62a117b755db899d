"""Plan the nights of a suite on the hosts of a cluster. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.errors import UserError
from ci.suite.hosts import host_of, job_of, too_few
from ci.suite.jobs import State
from ci.suite.packing import plan

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from ci.inventory.target import Target
    from ci.suite.jobs import Job
    from ci.suite.night import SuiteNight
    from ci.suite.packing import LeftOut, Schedule
    from ci.suite.window import Span


@dataclass(frozen=True)
class PlannedNight:
    """A night with its hosts, in the order of the cluster file, and its times."""

    night: SuiteNight
    hosts: tuple[str, ...]
    start: dt.datetime
    end: dt.datetime


@dataclass(frozen=True)
class NotPlanned:
    """A night that is not begun, and why."""

    night: SuiteNight
    reason: str


@dataclass(frozen=True)
class SuitePlan:
    """The plan of a suite.

    Attributes:
        span: when its nights may run.
        nights: those that are begun, in the order of their starts.
        not_planned: those that are not.
        makespan_s: from the start of the span to the last expected end.
        bound_s: no plan of the same nights can be shorter.
        hosts: number of hosts that take nights.
    """

    span: Span
    nights: tuple[PlannedNight, ...]
    not_planned: tuple[NotPlanned, ...]
    makespan_s: float
    bound_s: float
    hosts: int


def plan_suite(nights: Sequence[SuiteNight], targets: Sequence[Target], span: Span) -> SuitePlan:
    """Plan nights on hosts.

    Args:
        nights: in the order of the suite.
        targets: the hosts of the cluster file.
        span: when nights may run.
    """
    jobs: list[Job] = []
    known: dict[object, tuple[str, ...]] = {}
    refused: list[NotPlanned] = []
    for night in nights:
        try:
            job = job_of(night, targets, known)
        except UserError as error:
            refused.append(NotPlanned(night, str(error)))
            continue
        if len(job.hosts) < job.count:
            refused.append(NotPlanned(night, too_few(night, targets)))
        else:
            jobs.append(job)
    until = seconds_between(span.start, span.until) if span.until else math.inf
    hosts = tuple(host_of(target) for target in targets)
    gates = {night.name for night in nights if night.gate and night.mute is None}
    schedule = _planned_in_order(State(0.0, hosts, tuple(jobs), until_s=until), gates)
    by_name = {night.name: night for night in nights}
    left_out = [
        NotPlanned(by_name[each.job.name], reason_left_out(each, span, until))
        for each in schedule.left_out
    ]
    return SuitePlan(
        span=span,
        nights=tuple(_planned(schedule, by_name, targets, span.start)),
        not_planned=(*refused, *left_out),
        makespan_s=schedule.makespan_s,
        bound_s=schedule.bound_s,
        hosts=len(targets),
    )


def _planned_in_order(state: State, gates: Collection[str]) -> Schedule:
    """Plan first the canaries without which nothing else begins, then all others."""
    first = tuple(job for job in state.waiting if job.name in gates)
    if not first or len(first) == len(state.waiting):
        return plan(state)
    before = plan(replace(state, waiting=first))
    opens_s = state.now_s + before.makespan_s
    others = tuple(job for job in state.waiting if job.name not in gates)
    after = plan(replace(state, waiting=others, now_s=opens_s))
    return replace(
        after,
        placements=(*before.placements, *after.placements),
        left_out=(*before.left_out, *after.left_out),
        makespan_s=before.makespan_s + after.makespan_s,
        bound_s=before.bound_s + after.bound_s,
    )


def seconds_between(start: dt.datetime, end: dt.datetime) -> float:
    """Return the seconds between two local times, also where clocks are changed between them."""
    return (end.astimezone() - start.astimezone()).total_seconds()


def later(start: dt.datetime, seconds: float) -> dt.datetime:
    """Return the local time so many seconds later."""
    moment = start.astimezone() + dt.timedelta(seconds=seconds)
    return moment.astimezone().replace(tzinfo=None)


def _planned(
    schedule: Schedule,
    by_name: dict[str, SuiteNight],
    targets: Sequence[Target],
    start: dt.datetime,
) -> Iterator[PlannedNight]:
    for each in schedule.placements:
        night = by_name[each.job.name]
        hosts = hosts_in_order(night, each.hosts, targets)
        yield PlannedNight(night, hosts, later(start, each.start_s), later(start, each.end_s))


def hosts_in_order(
    night: SuiteNight, hosts: Sequence[str], targets: Sequence[Target]
) -> tuple[str, ...]:
    """Return the hosts of a night in the order of its nodes: that of the case or the cluster."""
    if set(night.needs.named) == set(hosts):
        return night.needs.named
    chosen = set(hosts)
    return tuple(target.name for target in targets if target.name in chosen)


def reason_left_out(left: LeftOut, span: Span, until_s: float, closing: str = "the window") -> str:
    """Say why a night does not fit the window.

    Args:
        left: the night.
        span: the present, and the end of the window.
        until_s: seconds between them.
        closing: what ends then.
    """
    takes = duration(left.job.expected_s)
    if left.job.expected_s > until_s:
        return f"is expected to take {takes}, but {closing} has {duration(until_s)}"
    if left.could_begin_s is None:
        return f"needs {counted(left.job.count, 'host')}, {left.usable} take nights"
    begin = later(span.start, left.could_begin_s)
    end = f"{span.until:%H:%M}" if span.until else ""
    return f"could begin at {begin:%H:%M} and take {takes}, but {closing} ends at {end}"


def duration(seconds: float) -> str:
    """Write a duration: 2h05m, 45m."""
    minutes = math.ceil(seconds / 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}h{rest:02}m" if hours else f"{rest}m"
