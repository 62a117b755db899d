"""Keep which hosts are free while a night is played through on paper. Pure.

Sets of hosts are whole numbers with a bit for each host: a plan of 2,000 jobs on 500 hosts asks
some million times whether enough of them are free.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.suite.jobs import Host, Job, State

# A job that already runs longer than expected is expected to run for so much longer.
OVERDUE_S = 300.0


@dataclass
class Slot:
    """A host on the board.

    Attributes:
        name: its name.
        devices: the number of its devices.
        free: the number of free ones.
        busy: end, devices and ports of each job on it.
        ready: environments and weights that are on it.
        wanted: how much work of the night may run on it: hosts with little are taken first.
    """

    name: str
    devices: int
    free: int
    busy: list[tuple[float, int, frozenset[int]]]
    ready: set[str]
    wanted: float = 0.0

    def free_at(self, need: int, now_s: float) -> float:
        """Return when `need` of its devices are free, if nothing else begins on it."""
        if self.free >= need:
            return now_s
        free, at = self.free, now_s
        for end, devices, _ in sorted(self.busy):
            free, at = free + devices, end
            if free >= need:
                break
        return at


@dataclass
class Board:
    """Hosts, and what runs on them.

    Attributes:
        slots: the hosts that take jobs.
        index: name of a host → its index in `slots`.
        free: the set of hosts with a free device.
        idle: the set of hosts on which nothing runs.
    """

    slots: list[Slot]
    index: Mapping[str, int]
    free: int
    idle: int
    _ends: list[tuple[float, int, int, int, frozenset[int]]] = field(default_factory=list)
    _sets: dict[str, int] = field(default_factory=dict)
    _by_names: dict[tuple[str, ...], int] = field(default_factory=dict)
    _number: Iterator[int] = field(default_factory=count)

    def hosts_of(self, job: Job) -> int:
        """Return the set of hosts that a job may use."""
        found = self._sets.get(job.name)
        if found is None:  # by the short name: many jobs have the same hundreds of hosts
            found = self._by_names.get(job.hosts)
            if found is None:
                known = {self.index[name] for name in job.hosts if name in self.index}
                found = self._by_names[job.hosts] = sum(1 << index for index in known)
            self._sets[job.name] = found
        return found

    def room_for(self, job: Job) -> int:
        """Return the set of hosts that have room for a job now."""
        if not job.devices:
            return self.hosts_of(job) & self.idle
        room = self.hosts_of(job) & self.free
        for index in indices(room):
            slot = self.slots[index]
            clash = job.ports and any(job.ports & ports for _, _, ports in slot.busy)
            if slot.free < job.devices or clash:
                room &= ~(1 << index)
        return room

    def begin(self, job: Job, chosen: Sequence[int], end_s: float) -> None:
        """Put a job on hosts."""
        for index in chosen:
            slot = self.slots[index]
            need = need_of(job, slot)
            slot.free -= need
            slot.busy.append((end_s, need, job.ports))
            slot.ready |= job.uses
            self._mark(index)
            heapq.heappush(self._ends, (end_s, next(self._number), index, need, job.ports))

    def next_end(self) -> float | None:
        """Return when the next job ends; None if none runs."""
        return self._ends[0][0] if self._ends else None

    def end_until(self, now_s: float) -> None:
        """Take off the jobs that have ended."""
        while self._ends and self._ends[0][0] <= now_s:
            end, _, index, need, ports = heapq.heappop(self._ends)
            slot = self.slots[index]
            slot.free += need
            slot.busy.remove((end, need, ports))
            self._mark(index)

    def _mark(self, index: int) -> None:
        slot, bit = self.slots[index], 1 << index
        self.free = self.free | bit if slot.free else self.free & ~bit
        self.idle = self.idle & ~bit if slot.busy else self.idle | bit


def need_of(job: Job, slot: Slot) -> int:
    """Return how many devices of a host a job takes."""
    return job.devices or slot.devices


def indices(hosts: int) -> Iterator[int]:
    """Yield the indices of a set of hosts."""
    while hosts:
        low = hosts & -hosts
        yield low.bit_length() - 1
        hosts ^= low


def board_of(state: State, wanted: Mapping[str, float]) -> Board:
    """Set the board up: the hosts that take jobs, and what runs on them.

    Args:
        state: the night as it is.
        wanted: host → how much work of the night may run on it; see `work_on`.
    """
    usable = [host for host in state.hosts if host.name not in state.quarantined]
    slots = [
        Slot(host.name, host.devices, host.devices, [], set(host.ready), wanted.get(host.name, 0.0))
        for host in usable
    ]
    index = {host.name: number for number, host in enumerate(usable)}
    everything = (1 << len(slots)) - 1
    board = Board(slots, index, everything, everything)
    for each in state.running:
        here = [index[name] for name in each.hosts if name in index]
        board.begin(each.job, here, max(each.ends_s, state.now_s + OVERDUE_S))
    return board


def work_on(hosts: Sequence[Host], jobs: Sequence[Job]) -> dict[str, float]:
    """Return for each host how much work may run on it, in seconds, each job on its equal share."""
    wanted = dict.fromkeys((host.name for host in hosts), 0.0)
    by_set: dict[tuple[str, ...], float] = {}
    for job in jobs:
        share = job.count * job.expected_s / max(len(job.hosts), 1)
        by_set[job.hosts] = by_set.get(job.hosts, 0.0) + share
    for names, work in by_set.items():
        for name in names:
            if name in wanted:
                wanted[name] += work
    return wanted
