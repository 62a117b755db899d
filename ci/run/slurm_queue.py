"""Wait in Slurm's queue until a job runs, or until that has no prospect."""

from __future__ import annotations

import time
from dataclasses import dataclass
from queue import Empty
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.errors import AllocationFailed, InfrastructureError
from ci.record.text import duration
from ci.run.slurm_job import POLL_FIRST_S, POLL_S
from ci.slurm.states import RUNNING, fate_of, is_hopeless

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.run.events import Events
    from ci.run.slurm_job import WatchedJob
    from ci.slurm.answers import Job


@dataclass(frozen=True)
class Queued:
    """A job that waits in the queue, or runs already.

    Attributes:
        job: the job.
        hosts: what was asked for.
        bounded: whether it waits at most `wait` of the cluster file.
        ran: whether it has run before, so that to wait again is its end.
        note: receives what an operator should know.
        waiting: receives what is waited for, and for how many seconds already.
    """

    job: WatchedJob
    hosts: SlurmHosts
    bounded: bool
    note: Callable[[str], None]
    waiting: Callable[[str, float], None]
    ran: bool = False

    def await_start(self, events: Events) -> Job:
        """Wait until the job runs, and return what Slurm then shows of it.

        Args:
            events: an exception in it ends the wait.

        Raises:
            AllocationFailed: it has ended, would never start, or waits for too long.
            BaseException: what `events` has.
        """
        began, pause_s, silent = time.monotonic(), POLL_FIRST_S, ""
        while True:
            try:
                seen, silent = self.job.ask(), ""
            except InfrastructureError as error:  # no news of the job
                if not silent:
                    self.note(str(error))
                seen, silent = self.job.last, str(error)
            if seen is not None and seen.state in RUNNING and not silent:
                return seen
            if not silent and (fate := fate_of(seen.state if seen else "", ran=self.ran)):
                raise self.job.failed(fate)
            self._refuse_hopeless(seen, silent, time.monotonic() - began)
            deadline = time.monotonic() + pause_s
            while (rest_s := deadline - time.monotonic()) > 0:
                self.waiting(self._waits(seen), time.monotonic() - began)
                try:
                    event = events.get(timeout=min(1.0, rest_s))
                except Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
            pause_s = min(pause_s * 2, POLL_S)

    def _refuse_hopeless(self, seen: Job | None, silent: str, waited_s: float) -> None:
        if seen and is_hopeless(seen.reason):
            raise AllocationFailed(
                "slurm_limit",
                f"Slurm job {self.job.number} would never start: {seen.reason}",
                f"correct `slurm:` in {self.hosts.path} (see JOB REASON CODES in `man squeue`, "
                "and `inv doctor`)",
            )
        if self.bounded and waited_s > self.hosts.wait_s:
            state = f"{seen.state} ({one_line(seen.reason) or 'no reason given'})" if seen else "?"
            raise AllocationFailed(
                "slurm_queue",
                f"Slurm gave no hosts within {duration(self.hosts.wait_s)}: job "
                f"{self.job.number} is "
                f"{state}{silent and f', and Slurm does not answer: {silent}'}",
                f"raise `wait` under `slurm:` in {self.hosts.path}, ask for fewer nodes or less "
                "`time`, or choose another partition",
            )

    def _waits(self, seen: Job | None) -> str:
        """Say what is waited for, and for how long at most."""
        state = seen.state if seen else "PENDING"
        reason = f" ({one_line(seen.reason)})" if seen and seen.reason else ""
        start = f", expected to start at {seen.starts_at}" if seen and seen.starts_at else ""
        most = f"; waits at most {duration(self.hosts.wait_s)}" if self.bounded else ""
        return f"Slurm job {self.job.number} is {state}{reason}{start}{most}"
