"""Place the nights of a suite on hosts: the plan of what is left of a night. Pure.

Several orders of the jobs are played through on paper, and the best is the plan. In each of them
canaries come first, then priorities; within one priority the longest job, or the most demanding.
What begins now is what the plan begins now. So the plan of a night is the same as one plan after
another, after each event, as long as every job takes as long as expected.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from ci.suite.board import work_on
from ci.suite.bound import lower_bound
from ci.suite.orders import orders, shaken
from ci.suite.play import begin_first, play

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ci.suite.jobs import Job, Placement, State
    from ci.suite.orders import Order
    from ci.suite.play import Played

# How many times a search may look at a job or a host, in all tries together; it bounds the time of
# a plan. The first order is always played to its end, however many jobs there are.
MAX_STEPS = 1_500_000
MAX_TRIES = 300
# A plan as near to the bound as this is not improved further: durations are known less well.
_NEAR = 1.01
# A night may become so much longer that jobs of a lower priority delay none of a higher one.
LONGER = 1.05


@dataclass(frozen=True)
class LeftOut:
    """A job that does not begin before the end of the window.

    Attributes:
        usable: how many of its hosts take jobs; too few if it is less than the job's `count`.
        could_begin_s: when it could begin, after all that is placed; None if it has too few hosts.
    """

    job: Job
    usable: int
    could_begin_s: float | None


@dataclass(frozen=True)
class Schedule:
    """The plan of what is left of a night.

    Attributes:
        placements: what begins, where and when, in the order of the starts.
        left_out: what does not begin.
        makespan_s: from the present to the last expected end.
        bound_s: the placed jobs take at least as long on free hosts, in whatever order.
        order: the order that led to it; give it to the next plan.
    """

    placements: tuple[Placement, ...]
    left_out: tuple[LeftOut, ...]
    makespan_s: float
    bound_s: float
    order: Order


def plan(state: State, order: Order | None = None, tries: int = MAX_TRIES) -> Schedule:
    """Plan what is left of a night.

    Args:
        state: the night as it is.
        order: of the plan before, if there is one; it is tried first.
        tries: how many orders are played through at most.

    Raises:
        ValueError: two jobs have the same name.
    """
    if len({job.name for job in state.waiting}) < len(state.waiting):
        raise ValueError("two jobs have the same name")
    bound = lower_bound(state.hosts, state.waiting)
    search = _Search(state, work_on(state.hosts, state.waiting), bound, tries)
    before = [order.of(state.waiting)] if order else []
    found, best = search([*before, *orders(state.waiting, strict=True)])
    several = len({job.priority for job in state.waiting}) > 1
    if several and not best.waiting and best.makespan_s > bound * LONGER:
        loose, other = search(orders(state.waiting, strict=False))
        if not other.waiting and other.makespan_s * LONGER < best.makespan_s:
            found, best = loose, other
    placed = [each.job for each in best.placements]
    return Schedule(
        placements=best.placements,
        left_out=tuple(_left_out(best, state)),
        makespan_s=best.makespan_s,
        bound_s=lower_bound(state.hosts, placed) if best.waiting else bound,
        order=found,
    )


def plan_begin(state: State, order: Order) -> Schedule:
    """Plan only what begins now, by a known order: as `plan`, and a thousand times faster.

    Nothing is left out, and the rest has no times; the makespan is that of what begins.

    Args:
        state: the night as it is.
        order: of the plan before.
    """
    now_order = order.of(state.waiting)
    begun = begin_first(state, now_order, work_on(state.hosts, state.waiting))
    last = max([state.now_s, *(each.end_s for each in begun)])
    return Schedule(begun, (), last - state.now_s, 0.0, now_order)


def begin_now(schedule: Schedule, now_s: float) -> tuple[Placement, ...]:
    """Return what a plan begins at its present.

    Plan after each event: a job has ended, a host came or went, a job was added.
    """
    return tuple(each for each in schedule.placements if each.start_s <= now_s)


@dataclass(frozen=True)
class _Search:
    """A search for a good order: given ones, then the best one, shaken."""

    state: State
    wanted: Mapping[str, float]
    bound_s: float
    tries: int

    def __call__(self, given: Iterable[Order]) -> tuple[Order, Played]:
        first, *known = given
        best = first, self._played(first)
        steps = best[1].steps
        # The same night has the same plan: the seed is fixed.
        random = Random(len(self.state.waiting))  # noqa: S311 - no secret
        for number in range(self.tries - 1):
            if self._is_good(best[1]) or steps >= MAX_STEPS:
                break
            tried = known[number] if number < len(known) else shaken(best[0], random)
            limit = math.inf if best[1].waiting else self.state.now_s + best[1].makespan_s
            played = play(self.state, tried, self.wanted, limit)
            steps += (played or best[1]).steps
            if played and self._worth(played) > self._worth(best[1]):
                best = tried, played
        return best

    def _played(self, order: Order) -> Played:
        played = play(self.state, order, self.wanted)
        if played is None:
            raise AssertionError("a night without a limit is played to its end")
        return played

    def _is_good(self, played: Played) -> bool:
        if not self.state.waiting:  # nothing can be ordered otherwise
            return True
        return not played.waiting and played.makespan_s <= self.bound_s * _NEAR

    def _worth(self, played: Played) -> tuple[float, ...]:
        """Return what makes a night better than another: the larger, the better.

        First the work that is done, that of a higher priority first; then a smaller makespan.
        """
        done = dict.fromkeys(sorted({job.rank for job in self.state.waiting}, reverse=True), 0.0)
        for each in played.placements:
            done[each.job.rank] += each.job.count * each.job.expected_s
        return (*done.values(), -played.makespan_s)


def _left_out(played: Played, state: State) -> Iterator[LeftOut]:
    """Yield the jobs that never began, with the time at which they could begin after all others."""
    free = {host.name: state.now_s for host in state.hosts if host.name not in state.quarantined}
    busy = [(each.hosts, each.ends_s) for each in state.running]
    for names, end in [*busy, *((each.hosts, each.end_s) for each in played.placements)]:
        for name in names:
            if name in free:
                free[name] = max(free[name], end)
    times: dict[tuple[str, ...], list[float]] = {}
    for job in played.waiting:
        if job.hosts not in times:
            times[job.hosts] = sorted(free[name] for name in {*job.hosts} & free.keys())
        at = times[job.hosts]
        yield LeftOut(job, len(at), at[job.count - 1] if len(at) >= job.count else None)
