"""Decide what a running suite does next: which nights begin where, and which never will. Pure."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ci.suite.bound import lower_bound
from ci.suite.gate import behind_gate
from ci.suite.hosts import host_of
from ci.suite.jobs import Job, Running, State
from ci.suite.model import Retry
from ci.suite.packing import begin_now, plan, plan_begin
from ci.suite.planned import hosts_in_order, reason_left_out
from ci.suite.progress import time_of
from ci.suite.rerun import too_many_failed, was_taken_away
from ci.suite.window import Span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.inventory.target import Target
    from ci.suite.night import SuiteNight
    from ci.suite.orders import Order
    from ci.suite.packing import Schedule
    from ci.suite.progress import Attempt, NightState, SuiteRun

# A plan after an event tries the order before and little else: the suite has begun with the best.
TRIES_AGAIN = 40
# With more nights that wait, one order takes seconds: most events only begin what has room.
MANY_NIGHTS = 200


@dataclass(frozen=True)
class Setting:
    """What does not change while a suite runs.

    Attributes:
        nights: name → the night.
        jobs: name → the night as packing sees it, with all hosts that it may use.
        targets: the hosts of the cluster file, or of the Slurm job; empty before it has any.
    """

    nights: Mapping[str, SuiteNight]
    jobs: Mapping[str, Job]
    targets: Sequence[Target]

    def retry_of(self, night: str) -> Retry:
        """Return when a night is run again: never, if the suite no longer has it."""
        able = night in self.nights and night in self.jobs
        return self.nights[night].retry if able else Retry(times=0)


@dataclass(frozen=True)
class Begin:
    """A night that begins: its hosts in the order of its nodes, and its devices on each."""

    night: str
    hosts: tuple[str, ...]
    devices: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Orders:
    """What happens next.

    Attributes:
        begin: nights that begin now.
        left_out: nights that never begin → why.
        not_again: nights that are not run again → why.
        expected: nights that wait → when they begin, and where.
        order: of the plan; give it to the next decision.
        finished: nothing runs and nothing begins any more.
    """

    begin: tuple[Begin, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    not_again: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, tuple[dt.datetime, tuple[str, ...]]] = field(default_factory=dict)
    order: Order | None = None
    finished: bool = False


def next_orders(  # noqa: PLR0913 - what a decision depends on
    run: SuiteRun,
    setting: Setting,
    now: dt.datetime,
    order: Order | None = None,
    *,
    proving: bool = False,
    whole: bool = True,
) -> Orders:
    """Decide what happens next, after any event.

    Args:
        run: how far the suite is.
        setting: its nights and hosts.
        now: the present, with a time zone.
        order: of the decision before.
        proving: whether a host is being examined and may take nights soon.
        whole: of very many nights, False decides only what begins now: in a moment.
    """
    running = [each for each in run.nights if each.state == "running"]
    waiting = [each for each in run.nights if each.state == "waiting"]
    behind, never = behind_gate(run, setting.nights)
    held = behind | {each.name: why for each in waiting if (why := _held(each, run, setting))}
    ready = [each for each in waiting if each.name not in held]
    over = _over(run)
    if over:
        why = over
        ready, held = [], {each.name: why for each in waiting}
    start = max(now, time_of(run.begins_at))
    state = _state(run, setting, ready, start)
    if order is None:
        schedule = plan(state)
    elif len(ready) <= MANY_NIGHTS:
        schedule = plan(state, order, TRIES_AGAIN)
    else:
        schedule = plan(state, order, 1) if whole else plan_begin(state, order)
    begun = _begun(schedule, setting, run) if now >= start and not run.awaits_hosts else ()
    finished = not running and not begun and not _may_change(run, now, ready, proving=proving)
    left_out = _left_out(schedule, ready, run, start, finished=finished)
    if finished or over:
        left_out |= held
    elif never:
        left_out |= behind
    before = {name for name in left_out if run.night(name).attempts}
    return Orders(
        begin=begun,
        left_out={name: why for name, why in left_out.items() if name not in before},
        not_again={name: _briefly(run, left_out[name]) for name in before},
        expected={
            each.job.name: (start + dt.timedelta(seconds=each.start_s), each.hosts)
            for each in schedule.placements
        },
        order=schedule.order,
        finished=finished,
    )


def _over(run: SuiteRun) -> str:
    """Say what ended the whole suite; empty if nothing did."""
    if run.interrupted:
        return f"{run.interrupted} ended the suite"
    return run.slurm.ended if run.slurm else ""


def _briefly(run: SuiteRun, why: str) -> str:
    """Shorten the end of the Slurm job: the night's own cause has it already."""
    number = run.slurm.job if run.slurm else 0
    return f"Slurm job {number} has ended" if why.startswith(f"Slurm job {number}: ") else why


def _may_change(
    run: SuiteRun, now: dt.datetime, ready: Sequence[NightState], *, proving: bool
) -> bool:
    """Return whether waiting nights may begin later, although nothing runs now."""
    return bool(ready) and (proving or run.awaits_hosts or now < time_of(run.begins_at))


def _held(night: NightState, run: SuiteRun, setting: Setting) -> str:
    """Say why a night that would be run again waits; empty if it does not."""
    if not night.fresh_attempts:
        return ""
    return too_many_failed(run.nights, setting.nights[night.name].retry)


def _state(run: SuiteRun, setting: Setting, ready: Sequence[NightState], now: dt.datetime) -> State:
    """Return the night as packing sees it; the present is 0."""
    quarantined = frozenset(each.host for each in run.quarantined)
    quarantined |= frozenset(run.slurm.unfit if run.slurm else ())
    on = [
        Running(
            setting.jobs.get(each.name) or _job_on(each, each.last),
            each.last.hosts,
            each.expected_s - (now - time_of(each.last.began_at)).total_seconds(),
        )
        for each in run.nights
        if each.state == "running" and each.last
    ]
    until = (time_of(run.closes_at) - now).total_seconds() if run.closes_at else math.inf
    return State(
        now_s=0.0,
        hosts=tuple(host_of(target) for target in setting.targets),
        waiting=tuple(_job(each, setting, quarantined) for each in ready),
        running=tuple(on),
        quarantined=quarantined,
        until_s=until,
    )


def _job_on(night: NightState, attempt: Attempt) -> Job:
    """Return a night that runs, and that the suite no longer has since its controller died."""
    devices = min(map(len, attempt.devices.values()), default=0)
    return Job(night.name, attempt.hosts, len(attempt.hosts), night.expected_s, devices)


def _job(night: NightState, setting: Setting, quarantined: frozenset[str]) -> Job:
    """Return a night with the hosts that it may use now: another one than it failed on, if any."""
    job = setting.jobs[night.name]
    failed = [each for each in night.fresh_attempts if each.reasons and not was_taken_away(each)]
    before = {host for attempt in failed for host in attempt.hosts}
    others = tuple(host for host in job.hosts if host not in before)
    enough = len(set(others) - quarantined) >= job.count
    return replace(job, hosts=others) if enough else job


def _begun(schedule: Schedule, setting: Setting, run: SuiteRun) -> tuple[Begin, ...]:
    """Return the nights that begin now, each with its devices on shared hosts."""
    taken: dict[str, set[int]] = {}
    for state in run.nights:
        if state.state == "running" and state.last:
            for host, indices in state.last.devices.items():
                taken.setdefault(host, set()).update(indices)
    counts = {target.name: host_of(target).devices for target in setting.targets}
    found: list[Begin] = []
    for each in begin_now(schedule, 0.0):
        night = setting.nights[each.job.name]
        hosts = hosts_in_order(night, each.hosts, setting.targets)
        devices: dict[str, tuple[int, ...]] = {}
        for host in hosts if each.job.devices else ():
            used = taken.setdefault(host, set())
            free = [index for index in range(counts[host]) if index not in used]
            devices[host] = tuple(free[: each.job.devices])
            used.update(devices[host])
        found.append(Begin(night.name, hosts, devices))
    return tuple(found)


def _left_out(
    schedule: Schedule,
    ready: Sequence[NightState],
    run: SuiteRun,
    now: dt.datetime,
    *,
    finished: bool,
) -> dict[str, str]:
    """Return the nights that can never begin → why; at the end all that still wait."""
    closes_at = time_of(run.closes_at) if run.closes_at else None
    span = Span(_local(now), _local(closes_at) if closes_at else None)
    left = max((closes_at - now).total_seconds(), 0.0) if closes_at else math.inf
    of_job = run.slurm if run.slurm and run.closes_at == run.slurm.until else None
    closing = f"Slurm job {of_job.job}" if of_job else "the window"
    never = {
        each.job.name: reason_left_out(each, span, left, closing)
        for each in schedule.left_out
        if finished or each.job.expected_s > left
    }
    if finished:
        never |= {each.name: "nothing ran" for each in ready if each.name not in never}
    return never


def _local(moment: dt.datetime) -> dt.datetime:
    return moment.astimezone().replace(tzinfo=None)


def taken_bound_s(run: SuiteRun, setting: Setting) -> float:
    """Return how long the nights that ran take at least on all hosts, with their real durations."""
    jobs = [
        replace(setting.jobs[night.name], name=attempt.run, expected_s=_seconds(attempt))
        for night in run.nights
        for attempt in night.attempts
        if attempt.ended_at and night.name in setting.jobs
    ]
    return lower_bound([host_of(target) for target in setting.targets], jobs)


def _seconds(attempt: Attempt) -> float:
    ended = time_of(attempt.ended_at or attempt.began_at)
    return (ended - time_of(attempt.began_at)).total_seconds()
