"""The Slurm job of a suite: ask for it, watch it on a thread, and cancel it at the end."""

from __future__ import annotations

import datetime as dt
import math
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.errors import InfrastructureError, Interrupted, LamplighterError
from ci.record.controller import owner
from ci.record.fields import utc
from ci.run.allocation import HAND_BACK_S
from ci.run.slurm_job import POLL_S, WatchedJob, surrounding_job
from ci.run.slurm_queue import Queued
from ci.slurm import client, commands
from ci.suite_run.job_state import JobSeen

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import Target
    from ci.run.events import Events
    from ci.suite.progress import JobState

# The thread may wait for an answer of Slurm when it is told to end.
JOIN_S = client.ANSWER_S + 10
# If a node fails, the others serve the further nights.
NO_KILL = ("--no-kill",)


class SuiteJob:
    """The job that has the hosts of a suite.

    Attributes:
        state: what was seen last.
        waits: what it waits for in the queue; empty if it does not.
    """

    def __init__(
        self,
        hosts: SlurmHosts,
        needed: int,
        run: str,
        state: JobState,
        tell: Callable[[str], None],
    ) -> None:
        """Ask for nothing yet.

        Args:
            hosts: what to ask for.
            needed: the number of hosts of the largest night.
            run: id of the suite's run, for the job's name.
            state: of an earlier controller, whose job is taken over if it still runs.
            tell: receives what an operator should know; from any thread.
        """
        self.state, self.waits = state, ""
        self._hosts, self._count, self._run = hosts, hosts.count(needed), run
        self._note = tell
        self._slurm = client.Slurm(state.login)
        self._job: WatchedJob | None = None
        self._targets: tuple[Target, ...] = ()
        self._seen: SimpleQueue[Any] | None = None
        self._thread: threading.Thread | None = None
        self._stop: Events = SimpleQueue()
        self._over = threading.Event()
        self._one_at_a_time = threading.RLock()
        self._renewed, self._renewing, self._silent, self._is_over = False, False, False, False

    def begin(self, seen: SimpleQueue[Any]) -> None:
        """Ask for the job on a thread; only the first call has an effect.

        Args:
            seen: receives a `JobSeen` after each change, or an error of this program.
        """
        if self._thread is None:
            self._seen = seen
            self._thread = threading.Thread(target=self._work, daemon=True, name="Slurm job")
            self._thread.start()

    def look(self) -> None:
        """Ask for the job and its nodes now; what has changed is told before this returns.

        No answer of Slurm is no news of the job.
        """
        with self._one_at_a_time:
            if self._job is None or not self.state.nodes or self.state.ended:
                return
            try:
                self._look(self._job)
                self._silent = False
            except LamplighterError as error:
                if not self._silent and not self._over.is_set():
                    self._note(f"Slurm job {self.state.job}: no news of it: {error}")
                self._silent = True

    def release(self) -> str:
        """End the thread, and cancel the job if a suite submitted it; return what was wrong."""
        self._over.set()
        self._stop.put(Interrupted("the suite has ended"))
        if self._thread:
            self._thread.join(JOIN_S)
        try:
            return self._cancel()
        finally:
            self._slurm.close()

    def _work(self) -> None:
        try:
            if self._forget_ended():
                return
            self._obtain()
            while not self._over.wait(0 if self._renewing else POLL_S):
                if self._renewing:
                    self._renewing = False
                    self._obtain()
                else:
                    self.look()
        except Interrupted:
            pass
        except LamplighterError as error:
            problem = self._cancel()
            self._tell(ended="; ".join(filter(None, [one_line(str(error)), problem])))
        except BaseException as error:  # noqa: BLE001 - raised by the suite's loop
            if self._seen:
                self._seen.put(error)

    def _obtain(self) -> None:
        """Take the job over, or submit one, and wait until it runs.

        Raises:
            LamplighterError: Slurm gives no hosts.
            Interrupted: the suite has ended.
        """
        number, own = self._known() or (self._submit(), True)
        job = WatchedJob(self._slurm, number)
        with self._one_at_a_time:
            self._job = job
            self._tell(job=number, own=own, partition=self._hosts.partition, state="PENDING")
        queued = Queued(job, self._hosts, own, self._note, self._show_wait)
        running = queued.await_start(self._stop)
        nodes = self._slurm.nodes(running.hostlist)
        with self._one_at_a_time:
            self.waits = ""
            self._targets = tuple(
                self._hosts.target(name, address, number) for name, address in nodes.items()
            )
            self._tell(nodes=tuple(nodes), **self._times(job))
        self.look()

    def _forget_ended(self) -> bool:
        """Forget the job of the controller before if it has ended; return whether it has."""
        number = self.state.job
        try:
            if not number or WatchedJob(self._slurm, number).fate(ran=False) is None:
                return False
        except InfrastructureError:  # no news of it: nights may run in it
            return False
        self._note(f"Slurm job {number} has ended")
        self._thread = None  # another one is asked for if nights are left
        self._tell(job=0, earlier=(*self.state.earlier, number))
        return True

    def _known(self) -> tuple[int, bool] | None:
        """Return a job to use that exists, and whether a suite submitted it; None for none."""
        if self.state.job:
            return self.state.job, self.state.own
        if around := surrounding_job():
            return around, False
        name = f"{commands.JOB_NAME}{self._run}"
        # One that was submitted a moment before its controller was killed.
        found = [each.number for each in self._slurm.jobs_of_user() if each.name == name]
        left = [number for number in found if number not in self.state.earlier]
        return (left[0], True) if left else None

    def _submit(self) -> int:
        return self._slurm.submit(self._hosts, self._count, self._run, owner(), NO_KILL)

    def _show_wait(self, what: str, _: float) -> None:
        if what != self.waits:
            self.waits = what
            self._note(what)

    def _look(self, job: WatchedJob) -> None:
        fate = job.fate()
        if fate is None:
            self._tell(unfit=job.unfit(self.state.nodes), **self._times(job))
            return
        failed = job.failed(fate)
        if not (fate.worth_again and self.state.own) or self._renewed or self._over.is_set():
            self._is_over = True
            self._tell(ended=one_line(str(failed)), state=job.last.state if job.last else "")
            return
        self._note(f"{failed}; another job is asked for, once")
        self._renewed, self._renewing, self._job, self._targets = True, True, None, ()
        earlier = (*self.state.earlier, job.number)
        self._tell(job=0, nodes=(), unfit={}, until=None, ends_at="", earlier=earlier)

    def _times(self, job: WatchedJob) -> dict[str, object]:
        """Return the state of a job, and until when nights may run in it by this machine's clock.

        That changes only with what Slurm says.
        """
        last = job.last
        if last is None or (last.ends_at, last.state) == (self.state.ends_at, self.state.state):
            return {}
        left_s, until = job.left_s, None
        if not math.isinf(left_s):
            end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=left_s - HAND_BACK_S)
            until = utc(end)
        return {
            "state": last.state,
            "ends_at": last.ends_at,
            "partition": last.partition,
            "until": until,
        }

    def _cancel(self) -> str:
        """Cancel the job, and wait until it has ended."""
        state, self.waits = self.state, ""
        if not state.job or not state.own or state.released or self._is_over:
            return ""
        problem = WatchedJob(self._slurm, state.job).cancel()
        self._tell(released=not problem)
        return problem

    def _tell(self, **fields: object) -> None:
        """Change the state; tell the suite what has changed."""
        with self._one_at_a_time:
            state = self.state.model_copy(update=fields)
            if state != self.state:
                self.state = state
                if self._seen:
                    self._seen.put(JobSeen(state, self._targets))


def line_of(hosts: SlurmHosts, needed: int) -> list[str]:
    """Return the command that asks for the job of a suite, for people."""
    count = hosts.count(needed)
    return commands.submit(hosts, count, "RUN", owner(), NO_KILL)
