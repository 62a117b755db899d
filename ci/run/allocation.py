"""The hosts that Slurm gives for a night: ask for them, watch the job, and give them back.

One job serves all nights of a command. Inside a job (`$SLURM_JOB_ID`) that job is used, and not
ended.
"""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.errors import (
    AllocationFailed,
    ConnectionLost,
    HostLost,
    HostUnreachable,
    InfrastructureError,
    LamplighterError,
    UserError,
)
from ci.inventory import cluster_file
from ci.record.controller import owner
from ci.record.text import duration
from ci.slurm.client import Slurm
from ci.slurm.states import PASSING, RUNNING, fate_of, is_hopeless

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import Target
    from ci.record.record import Record
    from ci.request import Request
    from ci.run.events import Events
    from ci.run.interrupt import Interrupts
    from ci.slurm.answers import Job
    from ci.slurm.states import Fate

STEP = "get hosts from Slurm"
JOB_VARIABLE = "SLURM_JOB_ID"
# squeue asks slurmctld, which serves the whole cluster.
POLL_FIRST_S, POLL_S = 1.0, 15.0
# Slurm shows an ended job as COMPLETING until its nodes have answered.
COMPLETING_S = 60.0
CANCEL_S = 60.0
# For stopping the servers, and copying logs and output, before Slurm ends the job.
HAND_BACK_S = 120.0
# States of nodes in which a further night does not begin on them; `*`: it does not answer.
UNFIT = ("drain", "drng", "down", "fail", "not_resp")

# Errors that say which host is lost; Slurm says it later, if at all.
LOST = (ConnectionLost, HostLost, HostUnreachable)


class Allocation:
    """The job that has the hosts of one or several nights; a context manager that ends it.

    Attributes:
        job: its number; 0 before it is submitted.
        own: whether it was submitted here, and is ended here.
    """

    def __init__(self, hosts: SlurmHosts, needed: int, nights: int = 1) -> None:
        """Ask for nothing yet.

        Args:
            hosts: what to ask for.
            needed: the number of hosts of the largest night.
            nights: how many nights use it, one after another.

        Raises:
            UserError: the cluster file asks for fewer hosts.
        """
        self.job = _surrounding_job()
        self.own = self.job == 0
        self._nights = nights
        self._was_renewed = False
        self._hosts, self._needed = hosts, needed
        self._count = hosts.count(needed)
        # Inside a job its nodes have Slurm's commands.
        self._slurm = Slurm(hosts.login if self.own else None)
        self._nodes: dict[str, str] = {}
        self._last: Job | None = None
        self._last_s = 0.0
        self._released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self._released:
                self.release()
        finally:
            self._slurm.close()

    def obtain(self, record: Record, interrupts: Interrupts) -> tuple[Target, ...]:
        """Return the hosts; the first time wait until Slurm gives them.

        Args:
            record: of the night; receives the job as soon as it has a number, and the step.
            interrupts: signals; they end the wait.

        Raises:
            AllocationFailed: Slurm gives no hosts within `wait`, or has taken them away.
            UserError: the job in which this runs has too few hosts.
            Interrupted: the controller was asked to stop; the job is cancelled.
        """
        with record.step(STEP, "queue") as step:
            if self._nodes and (fate := self._fate(self._ask(), ran=True)):
                self._renew(fate)
            if not self._nodes:
                self._begin(record, interrupts)
            self._note_job(record)
            names = self._fit_nodes(record)
            step.detail = f"Slurm job {self.job}: {', '.join(names)}"
        return tuple(self._hosts.target(name, self._nodes[name], self.job) for name in names)

    @contextmanager
    def watched(self, events: Events, record: Record) -> Iterator[None]:
        """Ask for the state of the job while inside; put its end into `events`."""
        over = threading.Event()
        thread = threading.Thread(
            target=self._watch, args=(events, record, over), daemon=True, name="Slurm job"
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(1)

    def explained(self, error: BaseException, record: Record) -> BaseException:
        """Return why a night ended early: the end of the job, if the job has ended.

        A lost host stays the cause if all that Slurm knows is that the host is lost.

        Args:
            error: the error of the night.
            record: of the night.
        """
        ours = isinstance(error, InfrastructureError) and not isinstance(error, AllocationFailed)
        if not ours or not self._nodes or self._released:
            return error
        try:
            fate = self._fate(self._settled(), ran=True)
        except LamplighterError as silent:  # no news of the job
            record.note(f"Slurm job {self.job}: {silent}")
            return error
        if fate is None:
            return error
        failed = self._failed(fate)
        if fate.kind == "slurm_node_fail" and isinstance(error, LOST):
            record.note(str(failed))
            return error
        return AllocationFailed(
            failed.kind,
            failed.cause,
            f"{failed.next_step}; after it: {one_line(str(error))}",
            worth_again=failed.worth_again,
        )

    @property
    def left_s(self) -> float:
        """Return for how many seconds the night may still use the hosts; infinite without a limit.

        The time to hand them back is not in it.
        """
        if self._last is None or self._last.left_s is None:
            return math.inf
        return self._last.left_s - (time.monotonic() - self._last_s) - HAND_BACK_S

    @property
    def ends_at(self) -> str:
        """Return when the job ends, UTC; empty if unknown."""
        return self._last.ends_at if self._last else ""

    def too_late(self, needed_s: float, what: str) -> str:
        """Return why something is not begun; empty if there is time for it.

        Args:
            needed_s: how long it takes, as far as that is known; 0 if it is not.
            what: its name.
        """
        left_s = self.left_s
        if left_s > needed_s:
            return ""
        took = f"it took {duration(needed_s)} in the nights before, and " if needed_s else ""
        return (
            f"{what} is not begun: {took}Slurm ends job {self.job} at {self.ends_at}, "
            f"{duration(max(left_s, 0.0))} are left; raise `time` under `slurm:` in "
            f"{self._hosts.path}"
        )

    def night_ended(self, record: Record, *, kept: bool) -> None:
        """Give the hosts back after the last night, unless its servers are to keep running."""
        self._nights -= 1
        if kept:
            self._released = True  # `inv down` cancels it, or its limit ends it
            record.note(f"Slurm ends job {self.job} at {self.ends_at}, and the servers with it")
        if self._released or self._nights > 0 or not self.job or not self.own:
            return
        with record.step("give the hosts back to Slurm", "queue") as step:
            problem = self.release()
            step.detail = problem or f"Slurm job {self.job} is cancelled"
            if problem:
                record.note(problem)
            elif (entry := record.run.slurm) is not None:
                record.update(slurm=entry.model_copy(update={"released": True}))

    def release(self) -> str:
        """Cancel the job if it is ours, and wait until it has ended; return what went wrong."""
        self._released = True
        if not self.own or not self.job:
            return ""
        try:
            self._slurm.cancel(self.job)
            if self._has_ended(CANCEL_S):
                return ""
            problem = f"has not ended {CANCEL_S:g} s after scancel"
        except LamplighterError as error:
            problem = f"could not be cancelled: {error}"
        return f"Slurm job {self.job} {problem}; cancel it by hand: scancel {self.job}"

    def _has_ended(self, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while (job := self._slurm.job(self.job)) and fate_of(job.state, ran=True) is None:
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_FIRST_S / 4)
        return True

    def _begin(self, record: Record, interrupts: Interrupts) -> None:
        events: Events = SimpleQueue()
        try:
            with interrupts.forward_to(events):
                if self.own:
                    self.job = self._slurm.submit(self._hosts, self._count, record.id, owner())
                    self._note_job(record)
                job = self._await_start(record, events)
            self._take_nodes(job)
        except BaseException:
            if problem := self.release():
                record.note(problem)
            raise

    def _renew(self, fate: Fate) -> None:
        """Forget a job that has ended, once, if another one may fare better.

        Raises:
            AllocationFailed: it would not, or this is the second one.
        """
        if not self.own or not fate.worth_again or self._was_renewed:
            raise self._failed(fate)
        self._was_renewed, self._nodes, self.job, self._last = True, {}, 0, None

    def _take_nodes(self, job: Job) -> None:
        """Take the nodes of a job that runs.

        Raises:
            UserError: there are too few.
        """
        self._nodes = self._slurm.nodes(job.hostlist)
        count = len(self._nodes)
        if count >= self._needed:
            return
        if self.own:
            key = "slurm.nodelist" if self._hosts.nodelist else "slurm.nodes"
            raise UserError(
                f"{self._hosts.path}: {key}: Slurm gave {count} nodes, and the case has "
                f"{self._needed}; name more"
            )
        raise UserError(
            f"Slurm job {self.job} (${JOB_VARIABLE}) has {count} nodes, and the case has "
            f"{self._needed}; allocate more (salloc -N {self._needed}), or unset {JOB_VARIABLE}: "
            "then a job of its own is submitted"
        )

    def _await_start(self, record: Record, events: Events) -> Job:
        """Wait until the job runs; return it."""
        began, pause_s = time.monotonic(), POLL_FIRST_S
        while True:
            job = self._ask()
            if job is not None and job.state in RUNNING:
                return job
            if fate := self._fate(job, ran=False):
                raise self._failed(fate)
            assert job is not None  # noqa: S101 - a job that is gone has a fate
            waited_s = time.monotonic() - began
            self._refuse_hopeless(job, waited_s)
            deadline = time.monotonic() + pause_s
            while (rest_s := deadline - time.monotonic()) > 0:
                record.view.waiting(self._waits(job), time.monotonic() - began, dict)
                try:
                    event = events.get(timeout=min(1.0, rest_s))
                except Empty:
                    continue
                if isinstance(event, BaseException):
                    raise event
            pause_s = min(pause_s * 2, POLL_S)

    def _refuse_hopeless(self, job: Job, waited_s: float) -> None:
        if is_hopeless(job.reason):
            raise AllocationFailed(
                "slurm_limit",
                f"Slurm job {self.job} would never start: {job.reason}",
                f"correct `slurm:` in {self._hosts.path} (see JOB REASON CODES in `man squeue`, "
                "and `inv doctor`)",
            )
        if self.own and waited_s > self._hosts.wait_s:
            raise AllocationFailed(
                "slurm_queue",
                f"Slurm gave no hosts within {duration(self._hosts.wait_s)}: job {self.job} is "
                f"{job.state} ({job.reason or 'no reason given'})",
                f"raise `wait` under `slurm:` in {self._hosts.path}, ask for fewer nodes or less "
                "`time`, or choose another partition",
            )

    def _waits(self, job: Job) -> str:
        """Say what is waited for, and for how long at most."""
        reason = f" ({one_line(job.reason)})" if job.reason else ""
        start = f", expected to start at {job.starts_at}" if job.starts_at else ""
        return (
            f"Slurm job {job.number} is {job.state}{reason}{start}; waits at most "
            f"{duration(self._hosts.wait_s)}"
        )

    def _fit_nodes(self, record: Record) -> list[str]:
        """Return the nodes for a night; those that Slurm is about to take away come last."""
        states = self._slurm.node_states(list(self._nodes))
        unfit = {name: text for name, text in states.items() if text.lower().startswith(UNFIT)}
        fit = [name for name in self._nodes if name not in unfit]
        for name, text in unfit.items():
            record.note(f"Slurm job {self.job}: {name} is {text}")
        if len(fit) < self._needed:
            shown = ", ".join(f"{name} is {text}" for name, text in unfit.items())
            raise AllocationFailed(
                "slurm_node_drained",
                f"Slurm job {self.job}: {shown}, so {len(fit)} of {self._needed} hosts are left",
                "see `sinfo -R`, and run again",
                worth_again=True,
            )
        return fit

    def _watch(self, events: Events, record: Record, over: threading.Event) -> None:
        told: set[str] = set()
        silent = False
        while not over.wait(POLL_S):
            try:
                fate = self._fate(self._ask(), ran=True)
                states = {} if fate else self._slurm.node_states(list(self._nodes))
            except LamplighterError as error:
                if not silent and not over.is_set():
                    record.note(f"Slurm job {self.job}: no news of it: {error}")
                silent = True
                continue
            silent = False
            if over.is_set():
                return
            if fate:
                events.put(self._failed(fate))
                return
            for name, text in states.items():
                if text.lower().startswith(UNFIT) and name not in told:
                    told.add(name)
                    record.note(f"Slurm job {self.job}: {name} is {text}; this night goes on")

    def _ask(self) -> Job | None:
        job = self._slurm.job(self.job)
        if job is not None:
            self._last, self._last_s = job, time.monotonic()
        return job

    def _settled(self) -> Job | None:
        """Return the job in a state that stays."""
        deadline = time.monotonic() + COMPLETING_S
        while (job := self._ask()) and job.state in PASSING and time.monotonic() < deadline:
            time.sleep(POLL_FIRST_S)
        return job

    def _fate(self, job: Job | None, *, ran: bool) -> Fate | None:
        return fate_of(job.state if job else "", ran=ran)

    def _failed(self, fate: Fate) -> AllocationFailed:
        state = self._last.state if self._last else "gone"
        by = self._slurm.canceller(self.job) if fate.kind == "slurm_cancelled" else ""
        who = f" (by uid {by})" if by else ""
        cause = f"Slurm job {self.job}: {state}: {fate.cause}{who}"
        return AllocationFailed(fate.kind, cause, fate.next_step, worth_again=fate.worth_again)

    def _note_job(self, record: Record) -> None:
        last = self._last if self._last and self._last.number == self.job else None
        record.update(
            slurm={
                "job": self.job,
                "own": self.own,
                "login": self._hosts.login if self.own else None,
                "state": last.state if last else "PENDING",
                "partition": last.partition if last else self._hosts.partition,
                "nodes": tuple(self._nodes),
                "ends_at": last.ends_at if last else "",
                "released": False,
            }
        )


def allocation_for(request: Request, needed: int, nights: int = 1) -> Allocation | None:
    """Return the allocation of a command's nights; None if their hosts are not from Slurm.

    Args:
        request: names the cluster file.
        needed: the number of hosts of the largest night.
        nights: how many nights use them, one after another.

    Raises:
        UserError: there is no such file, or it asks for fewer hosts.
        CaseError: it is not valid.
    """
    if request.local or not request.cluster:
        return None
    hosts = cluster_file.load_cluster(cluster_file.find(request.cluster)).slurm
    return Allocation(hosts, needed, nights) if hosts else None


def _surrounding_job() -> int:
    text = os.environ.get(JOB_VARIABLE, "")
    return int(text) if text.isdecimal() else 0
