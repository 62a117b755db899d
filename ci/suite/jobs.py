"""Define what packing places: jobs on hosts, the state of a night, and its schedule. Pure.

Times are seconds from any one moment. A job is one night of a case, as far as packing sees it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Host:
    """A host that jobs are placed on.

    Attributes:
        name: unique.
        devices: number of its devices, which jobs may share; 1 where it has none, or where their
            number is unknown.
        ready: what lies on it already, such as environments and weights; see `Job.uses`.
    """

    name: str
    devices: int = 1
    ready: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Job:
    """A night of a case.

    Attributes:
        name: unique.
        hosts: names of the hosts that it may run on.
        count: how many of them it needs, at once.
        expected_s: its expected duration.
        devices: how many devices of each host it needs beside other jobs; 0 for whole hosts.
        priority: jobs with a higher one come first.
        canary: whether it comes before all others: it says whether the rest is worth running.
        ports: on which its servers listen; jobs beside each other on a host have no common one.
        uses: environments and weights; what is on a host already need not be made there.
    """

    name: str
    hosts: tuple[str, ...]
    count: int
    expected_s: float
    devices: int = 0
    priority: int = 0
    canary: bool = False
    ports: frozenset[int] = frozenset()
    uses: frozenset[str] = frozenset()

    @property
    def rank(self) -> tuple[bool, int]:
        """Return what decides who comes first; larger is earlier."""
        return self.canary, self.priority


@dataclass(frozen=True)
class Running:
    """A job that runs, its hosts, and when it is expected to end."""

    job: Job
    hosts: tuple[str, ...]
    ends_s: float


@dataclass(frozen=True)
class State:
    """A night between two events.

    Attributes:
        now_s: the present.
        hosts: all hosts of the night.
        waiting: jobs that have not begun.
        running: jobs that run.
        quarantined: names of hosts that take no job at present.
        until_s: the end of the window; a job that is expected to end later does not begin.
    """

    now_s: float
    hosts: tuple[Host, ...]
    waiting: tuple[Job, ...]
    running: tuple[Running, ...] = ()
    quarantined: frozenset[str] = frozenset()
    until_s: float = math.inf


@dataclass(frozen=True)
class Placement:
    """A job on its hosts, with its start and its expected end."""

    job: Job
    hosts: tuple[str, ...]
    start_s: float
    end_s: float
