"""Bound the makespan of jobs from below: no schedule of them can be shorter. Pure.

A set of hosts has to do all work that cannot be done elsewhere. The area of this work alone is a
weak bound where jobs are wide: of two jobs that each need more than half of the hosts, only one
runs at a time.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING

from ci.suite.feasible import EXACT, HALF, functions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ci.suite.feasible import Function
    from ci.suite.jobs import Host, Job

    # (set of usable hosts, number of them, share of each) → duration → number of jobs
    Groups = Mapping[tuple[int, int, float], Mapping[float, int]]
    # (share of the set of hosts, duration) → number of jobs
    Sizes = Mapping[tuple[float, float], int]

# Sets of hosts, kinds of jobs and functions beyond which only simpler bounds are computed.
_MAX_UNIONS = 64
_MAX_SIZES = 250
_MAX_WIDENING = 8
_MAX_LENGTHENING = 40
_HALVINGS = 12
# Sets whose simpler bound is smaller than this part of the best are not looked at further.
_PROMISING = 0.75


def lower_bound(hosts: Sequence[Host], jobs: Sequence[Job]) -> float:
    """Return a time that jobs take at least, in seconds.

    Args:
        hosts: all hosts; they are free.
        jobs: those that cannot run on these hosts are left out.
    """
    groups = _groups(hosts, jobs)
    longest = max((seconds for times in groups.values() for seconds in times), default=0.0)
    simple = {
        chosen: _of_widths(_sizes(groups, chosen))
        for chosen in _unions({usable for usable, _, _ in groups})
    }
    best = max([longest, *simple.values()])
    for chosen in sorted(simple, key=lambda each: -simple[each]):
        if simple[chosen] >= _PROMISING * best:
            best = _of_both(_sizes(groups, chosen), best)
    return best


def _groups(hosts: Sequence[Host], jobs: Sequence[Job]) -> Groups:
    """Count the jobs of each kind that can run."""
    devices = {host.name: host.devices for host in hosts}
    index = {host.name: number for number, host in enumerate(hosts)}
    groups: dict[tuple[int, int, float], dict[float, int]] = defaultdict(lambda: defaultdict(int))
    known: dict[tuple[str, ...], tuple[int, int]] = {}
    for job in jobs:
        if job.hosts not in known:
            usable = {name for name in job.hosts if name in index}
            most = max((devices[name] for name in usable), default=1)
            known[job.hosts] = sum(1 << index[name] for name in usable), most
        usable_set, most = known[job.hosts]
        if usable_set.bit_count() >= job.count:
            share = min(job.devices / most, 1.0) if job.devices else 1.0
            groups[usable_set, job.count, share][job.expected_s] += 1
    return groups


def _unions(sets: Collection[int]) -> set[int]:
    """Return the sets, unions of them, and the union of all."""
    found, everything = set(sets), 0
    for first in sorted(sets):
        everything |= first
        for second in sorted(found):
            if len(found) >= _MAX_UNIONS + len(sets):
                break
            found.add(first | second)
    return found | {everything} if everything else found


def _sizes(groups: Groups, chosen: int) -> dict[tuple[float, float], int]:
    """Return what jobs take at least of a set of hosts: their share of it, and for how long."""
    total = chosen.bit_count()
    sizes: dict[tuple[float, float], int] = defaultdict(int)
    for (usable, count, share), times in groups.items():
        inside = count - (usable & ~chosen).bit_count()
        if inside > 0:
            for seconds, number in times.items():
                sizes[inside * share / total, seconds] += number
    return sizes


def _widened(sizes: Sizes) -> list[tuple[float, Function]]:
    """Return functions of the widths with the area that each gives, the largest first."""
    work: dict[float, float] = defaultdict(float)
    for (width, seconds), number in sizes.items():
        work[width] += seconds * number
    areas = [
        (sum(each(width) * time for width, time in work.items()), each) for each in functions(work)
    ]
    return sorted(areas, key=lambda pair: -pair[0])


def _of_widths(sizes: Sizes) -> float:
    """Return the bound that the widths of jobs give."""
    return max(_widened(sizes)[0][0], _one_after_another(sizes))


def _of_both(sizes: Sizes, best: float) -> float:
    """Return the bound that widths and durations give, or `best` if that is larger."""
    chosen = [each for _, each in _widened(sizes)[:_MAX_WIDENING]]
    if len(sizes) > _MAX_SIZES or not _is_too_short(sizes, chosen, best * (1 + EXACT)):
        return best
    low, high = best, 2 * best
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if _is_too_short(sizes, chosen, middle) else (low, middle)
    return low


def _one_after_another(sizes: Sizes) -> float:
    """Return how long jobs take that exclude each other: the wide ones, and one beside them."""
    best = 0.0
    for width in {width for width, _ in sizes if width <= HALF}:
        longest = max(seconds for each, seconds in sizes if each == width)
        wide = [
            seconds * number
            for (each, seconds), number in sizes.items()
            if each + width > 1 + EXACT
        ]
        best = max(best, longest + sum(wide))
    return best


def _is_too_short(sizes: Sizes, widening: Sequence[Function], makespan: float) -> bool:
    """Return whether jobs, as rectangles of width and duration, are too many for a makespan.

    Widened jobs fit beside each other at every moment, so that each unit of the width has its own
    jobs one after another: their durations, lengthened, fit in it.
    """
    lengths = {seconds / makespan for _, seconds in sizes}
    lengthening = list(islice(functions(lengths), _MAX_LENGTHENING))
    for wide in widening:
        work: dict[float, float] = defaultdict(float)
        for (width, seconds), number in sizes.items():
            work[seconds / makespan] += wide(width) * number
        if any(
            sum(long(length) * amount for length, amount in work.items()) > 1 + EXACT
            for long in lengthening
        ):
            return True
    return False
