"""A Slurm job that has the hosts of nights: its state, its end, and how to end it."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.agent.reconnect import RETRY_S, SILENT_S
from ci.connect.printed import one_line
from ci.errors import (
    AllocationFailed,
    ConnectionLost,
    HostLost,
    HostUnreachable,
    InfrastructureError,
    LamplighterError,
)
from ci.slurm.states import PASSING, fate_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.record.record import Record
    from ci.run.events import Events
    from ci.slurm.answers import Job
    from ci.slurm.client import Slurm
    from ci.slurm.states import Fate

JOB_VARIABLE = "SLURM_JOB_ID"
# squeue asks slurmctld, which serves the whole cluster.
POLL_FIRST_S, POLL_S = 1.0, 15.0
# Slurm shows an ended job as COMPLETING until its nodes have answered.
COMPLETING_S = 60.0
CANCEL_S = 60.0
NODE_FAIL = "slurm_node_fail"
# Until a connection that is silent is given up, with the time of the last attempt.
LOST_HOST_S = SILENT_S + RETRY_S + 15.0
# States of nodes on which a further night does not begin.
UNFIT = ("drain", "drng", "down", "fail", "not_resp")
# Errors that say which host is lost; Slurm says it later, if at all.
LOST = (ConnectionLost, HostLost, HostUnreachable)


def surrounding_job() -> int:
    """Return the Slurm job in which this command runs; 0 for none."""
    text = os.environ.get(JOB_VARIABLE, "")
    return int(text) if text.isdecimal() else 0


class WatchedJob:
    """A job, as Slurm showed it last.

    Attributes:
        number: of the job.
        last: what was seen last; None before.
    """

    def __init__(self, slurm: Slurm, number: int) -> None:
        self.number = number
        self.last: Job | None = None
        self._slurm = slurm
        self._last_s = 0.0

    def ask(self) -> Job | None:
        """Ask for the job; None if Slurm no longer knows it.

        Raises:
            InfrastructureError: Slurm does not answer, which is no news of the job.
        """
        job = self._slurm.job(self.number)
        if job is not None:
            self.last, self._last_s = job, time.monotonic()
        return job

    def fate(self, *, ran: bool = True) -> Fate | None:
        """Ask what became of the job; None if it runs, or may still start. Raises as `ask`."""
        job = self.ask()
        return fate_of(job.state if job else "", ran=ran)

    def final_fate(self) -> Fate | None:
        """Ask what became of the job, once its nodes have answered. Raises as `ask`."""
        deadline = time.monotonic() + COMPLETING_S
        while (job := self.ask()) and job.state in PASSING and time.monotonic() < deadline:
            time.sleep(POLL_FIRST_S)
        return fate_of(job.state if job else "", ran=True)

    def failed(self, fate: Fate) -> AllocationFailed:
        """Return the error that says what became of the job."""
        state = self.last.state if self.last else "gone"
        by = self._slurm.canceller(self.number) if fate.kind == "slurm_cancelled" else ""
        who = f" (by uid {by})" if by else ""
        cause = f"Slurm job {self.number}: {state}: {fate.cause}{who}"
        return AllocationFailed(fate.kind, cause, fate.next_step, worth_again=fate.worth_again)

    def cause_of(self, error: BaseException, note: Callable[[str], None]) -> BaseException:
        """Return why a night ended early: the end of this job, if it has ended.

        A lost host stays the cause if all that Slurm knows is that the host is lost.

        Args:
            error: the error of the night.
            note: receives what Slurm says beside the cause.
        """
        if not isinstance(error, InfrastructureError) or isinstance(error, AllocationFailed):
            return error
        try:
            fate = self.final_fate()
        except LamplighterError as silent:  # no news of the job
            note(f"Slurm job {self.number}: {silent}")
            return error
        if fate is None:
            return error
        failed = self.failed(fate)
        if fate.kind == NODE_FAIL and isinstance(error, LOST):
            note(str(failed))
            return error
        return AllocationFailed(
            failed.kind,
            failed.cause,
            f"{failed.next_step}; after it: {one_line(str(error))}",
            worth_again=failed.worth_again,
        )

    @property
    def left_s(self) -> float:
        """Return the seconds until Slurm ends it; infinite without a limit, or if unknown."""
        if self.last is None or self.last.left_s is None:
            return math.inf
        return self.last.left_s - (time.monotonic() - self._last_s)

    def unfit(self, names: Sequence[str]) -> dict[str, str]:
        """Ask for nodes that Slurm is about to take away, or that are down; return why."""
        states = self._slurm.node_states(names)
        return {name: text for name, text in states.items() if text.lower().startswith(UNFIT)}

    def cancel(self) -> str:
        """Cancel it, and wait until it has ended; return what went wrong."""
        deadline = time.monotonic() + CANCEL_S
        problem, cancelled = "", False
        while True:
            try:
                if not cancelled:
                    self._slurm.cancel(self.number)
                    cancelled = True
                if self.fate() is not None:
                    return ""
                problem = f"has not ended {CANCEL_S:g} s after scancel"
            except LamplighterError as error:
                problem = f"could not be cancelled: {error}"
            if time.monotonic() > deadline:
                by_hand = f"cancel it by hand: scancel {self.number}"
                return f"Slurm job {self.number} {problem}; {by_hand}"
            time.sleep(POLL_FIRST_S / 4)

    @contextmanager
    def watched(self, names: Sequence[str], events: Events, record: Record) -> Iterator[None]:
        """Ask for its state while inside; put its end into `events`.

        Args:
            names: its nodes; what Slurm says of them is noted.
            events: receives the error.
            record: receives the notes.
        """
        over = threading.Event()
        thread = threading.Thread(
            target=self._watch, args=(names, events, record, over), daemon=True, name="Slurm job"
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(1)

    def _watch(
        self, names: Sequence[str], events: Events, record: Record, over: threading.Event
    ) -> None:
        told: set[str] = set()
        silent = False
        while not over.wait(POLL_S):
            try:
                fate = self.fate()
                unfit = {} if fate else self.unfit(names)
            except LamplighterError as error:
                if not silent and not over.is_set():
                    record.note(f"Slurm job {self.number}: no news of it: {error}")
                silent = True
                continue
            silent = False
            if over.is_set():
                return
            if fate:
                failed = self.failed(fate)
                # The connection says which node it is, and may need longer for it than Slurm.
                if fate.kind == NODE_FAIL and over.wait(LOST_HOST_S):
                    return
                events.put(failed)
                return
            for name in unfit.keys() - told:
                told.add(name)
                record.note(f"Slurm job {self.number}: {name} is {unfit[name]}; this night goes on")
