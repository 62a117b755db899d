"""Play a night through on paper, in a given order of its jobs. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.suite.board import board_of, indices, need_of
from ci.suite.jobs import Placement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.suite.board import Board
    from ci.suite.jobs import Job, State
    from ci.suite.orders import Order

# (is a canary, priority)
_Rank = tuple[bool, int]


@dataclass(frozen=True)
class Played:
    """A night that was played through.

    Attributes:
        placements: in the order of their starts.
        waiting: jobs that never began.
        makespan_s: from the present to the last expected end.
        steps: how many times a job was looked at, or a host to keep it for a job.
    """

    placements: tuple[Placement, ...]
    waiting: tuple[Job, ...]
    makespan_s: float
    steps: int


@dataclass(frozen=True)
class _Kept:
    """Hosts that are kept free for a job that waits for more of them, and its time on them."""

    rank: _Rank
    begin_s: float
    end_s: float
    hosts: int


def play(
    state: State, order: Order, wanted: Mapping[str, float], limit_s: float = math.inf
) -> Played | None:
    """Play a night: at each end of a job, begin what has room, in the given order.

    Args:
        state: the night as it is.
        order: of the jobs that wait.
        wanted: as for `board_of`.
        limit_s: give up, and return None, when a job ends at this time or later.
    """
    board = board_of(state, wanted)
    now, waiting, steps = state.now_s, list(order.jobs), 0
    last = max([now, *(each.ends_s for each in state.running)])
    placements: list[Placement] = []
    while True:
        steps += len(waiting)
        event = _Event(board, order, now, state.until_s)
        begun = event.begin(waiting)
        steps += event.looked_at
        placements += begun
        last = max([last, *(each.end_s for each in begun)])
        if begun and last >= limit_s:
            return None
        gone = {each.job.name for each in begun}
        waiting = [job for job in waiting if job.name not in gone]
        following = board.next_end()
        if following is None or not waiting:
            break
        now = following
        board.end_until(now)
    return Played(tuple(placements), tuple(waiting), last - state.now_s, steps)


def begin_first(state: State, order: Order, wanted: Mapping[str, float]) -> tuple[Placement, ...]:
    """Begin what has room at the present, in the given order; arguments as for `play`."""
    event = _Event(board_of(state, wanted), order, state.now_s, state.until_s)
    return tuple(event.begin(list(order.jobs)))


@dataclass
class _Event:
    """A moment at which jobs may begin; counts the hosts that it looked at one by one."""

    board: Board
    order: Order
    now_s: float
    until_s: float
    looked_at: int = 0

    def begin(self, waiting: Sequence[Job]) -> list[Placement]:
        """Begin what has room; keep hosts for jobs that wait for more of them."""
        begun: list[Placement] = []
        kept: list[_Kept] = []
        blocked: set[tuple[object, ...]] = set()
        lowest = self._rank(waiting[-1]) if waiting else (False, 0)
        for job in waiting:
            if not self.board.free:
                break
            if self.now_s + job.expected_s > self.until_s:
                continue
            shape = (self.board.hosts_of(job), job.count, job.devices, job.ports)
            if shape in blocked:
                continue
            self.looked_at += self.board.free.bit_count() if job.devices else 0
            room = self.board.room_for(job)
            if room.bit_count() < job.count:
                # Nothing is freed before the next event: jobs of this shape have no room either.
                blocked.add(shape)
            for keep in self._before(job, kept):
                room &= ~keep.hosts
            if room.bit_count() >= job.count:
                begun.append(self._place(job, room))
            elif len(kept) < self.order.reserved or (not kept and self._rank(job) > lowest):
                kept += self._keep(job, kept)
        return begun

    def _before(self, job: Job, kept: Sequence[_Kept]) -> Iterator[_Kept]:
        """Yield the jobs that a job must not delay, and would delay on their hosts."""
        end, rank = self.now_s + job.expected_s, self._rank(job)
        for number, keep in enumerate(kept):
            if end > keep.begin_s and (number < self.order.reserved or rank < keep.rank):
                yield keep

    def _rank(self, job: Job) -> _Rank:
        """Return the rank below which other jobs never delay this one."""
        return job.rank if self.order.strict else (job.canary, 0)

    def _place(self, job: Job, room: int) -> Placement:
        chosen = self.board.chosen(job, room)
        end = self.now_s + job.expected_s
        self.board.begin(job, chosen, end)
        names = tuple(self.board.slots[index].name for index in chosen)
        return Placement(job, names, self.now_s, end)

    def _keep(self, job: Job, kept: Sequence[_Kept]) -> Iterator[_Kept]:
        """Yield the hosts on which a job can begin first, if nothing else begins on them."""
        found: list[tuple[float, int]] = []
        for index in indices(self.board.hosts_of(job)):
            slot = self.board.slots[index]
            at = slot.free_at(need_of(job, slot), self.now_s)
            for keep in kept:
                if keep.hosts >> index & 1:
                    at = max(at, keep.end_s)
            found.append((at, index))
        self.looked_at += len(found)
        first = sorted(found)[: job.count]
        if len(first) == job.count and first[-1][0] + job.expected_s <= self.until_s:
            begin = first[-1][0]
            hosts = sum(1 << index for _, index in first)
            yield _Kept(self._rank(job), begin, begin + job.expected_s, hosts)
