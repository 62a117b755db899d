"""Order the jobs that wait: canaries, priorities, then by one of several sizes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

    from ci.suite.jobs import Job

# For how many jobs that wait for more hosts these are kept free, in the orders that are tried. With
# 0, a wide job may wait long for narrow ones; with many, hosts stay idle for it.
RESERVED = (1, 3, 12, 0)
# Of the shaken orders: the share that moves a job ahead, that swaps two, else all are shaken.
_MOVED, _SWAPPED = 0.4, 0.7
_SHAKES = (0.1, 0.3)
_OTHER_RESERVED = 0.3


@dataclass(frozen=True)
class Order:
    """An order of jobs.

    Attributes:
        jobs: those that wait.
        reserved: for how many jobs that wait for hosts these are kept free from all others.
        strict: whether they are always kept free from jobs of a lower priority. From others than
            canaries they are always kept free for a canary.
    """

    jobs: tuple[Job, ...]
    reserved: int
    strict: bool = True

    def of(self, waiting: Sequence[Job]) -> Order:
        """Return the order of jobs that still wait; unknown ones come last of their priority."""
        places = {job.name: place for place, job in enumerate(self.jobs)}
        last = len(places)
        jobs = sorted(waiting, key=lambda job: places.get(job.name, last))
        return replace(self, jobs=_by_rank(jobs))


def _share(job: Job) -> float:
    """Return the share that a job takes of the hosts that it may use."""
    return job.count / max(len(job.hosts), 1)


# The longest first; what takes the most of its hosts for its time; the widest; and what has the
# fewest hosts to choose from.
_SIZES: tuple[Callable[[Job], tuple[float, ...]], ...] = (
    lambda job: (job.expected_s,),
    lambda job: (job.expected_s * _share(job) ** 0.5,),
    lambda job: (job.expected_s * _share(job),),
    lambda job: (job.expected_s * job.count,),
    lambda job: (_share(job), job.expected_s),
    lambda job: (-len(job.hosts), job.expected_s * job.count),
)


def orders(waiting: Sequence[Job], *, strict: bool) -> Iterator[Order]:
    """Yield the orders that are tried first: those that differ most come before all others."""
    by_size = [_by_rank(sorted(waiting, key=size, reverse=True)) for size in _SIZES]
    for shift in range(len(RESERVED)):
        for number, jobs in enumerate(by_size):
            yield Order(jobs, RESERVED[(number + shift) % len(RESERVED)], strict)


def shaken(order: Order, random: Random) -> Order:
    """Return an order that differs a little from a good one."""
    jobs = list(order.jobs)
    kind, reserved = random.random(), order.reserved
    first, second = random.randrange(len(jobs)), random.randrange(len(jobs))
    if kind < _MOVED:
        jobs.insert(min(first, second), jobs.pop(max(first, second)))
    elif kind < _SWAPPED:
        jobs[first], jobs[second] = jobs[second], jobs[first]
    else:
        width = random.choice(_SHAKES) * len(jobs)
        places = [place + random.gauss(0, width) for place in range(len(jobs))]
        jobs = [job for _, job in sorted(zip(places, jobs, strict=True), key=lambda each: each[0])]
    if random.random() < _OTHER_RESERVED:
        reserved = random.choice(RESERVED)
    return replace(order, jobs=_by_rank(jobs), reserved=reserved)


def _by_rank(jobs: Sequence[Job]) -> tuple[Job, ...]:
    return tuple(sorted(jobs, key=lambda job: job.rank, reverse=True))
