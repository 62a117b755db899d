"""The hosts that Slurm gives for a night: ask for them, watch the job, and give them back.

One job serves all nights of a command. Inside a job (`$SLURM_JOB_ID`) that job is used, and not
ended; so is the job of a suite by each of its nights.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

from ci.errors import AllocationFailed
from ci.inventory import cluster_file
from ci.record.controller import owner
from ci.record.text import duration
from ci.request import listed
from ci.run.slurm_job import WatchedJob, surrounding_job
from ci.run.slurm_nodes import Share, fit_nodes, of_share, require_enough
from ci.run.slurm_queue import Queued
from ci.slurm.client import Slurm

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
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
# For stopping the servers, and copying logs and output, before Slurm ends the job.
HAND_BACK_S = 120.0


class Allocation:
    """The job that has the hosts of one or several nights; a context manager that ends it.

    Attributes:
        own: whether the job is submitted here, and ended here.
    """

    def __init__(
        self, hosts: SlurmHosts, needed: int, nights: int = 1, share: Share | None = None
    ) -> None:
        """Ask for nothing yet.

        Args:
            hosts: what to ask for.
            needed: the number of hosts of the largest night.
            nights: how many nights use it, one after another.
            share: the nodes of another's job that they use; None to ask for a job.

        Raises:
            UserError: the cluster file asks for fewer hosts.
        """
        around = surrounding_job()
        number = share.job if share else around
        self.own = number == 0
        self._hosts, self._needed, self._nights = hosts, needed, nights
        self._share = share
        self._count = hosts.count(needed)
        # Inside a job its nodes have Slurm's commands.
        self._login = None if around else hosts.login
        self._slurm = Slurm(self._login)
        # None before it is submitted, and after it is given back.
        self._job = WatchedJob(self._slurm, number) if number else None
        self._nodes: dict[str, str] = {}
        self._failure: AllocationFailed | None = None
        self._was_renewed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._release()
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
            if self._failure:
                raise self._failure
            if self._nodes and self._job and (fate := self._job.fate()):
                self._renew(self._job, fate)
            job = self._job if self._nodes and self._job else self._begin(record, interrupts)
            self._note(job, record)
            names = fit_nodes(job, self._nodes, self._needed, record.note)
            step.detail = f"Slurm job {job.number}: {', '.join(names)}"
        return tuple(self._hosts.target(name, self._nodes[name], job.number) for name in names)

    def watched(self, events: Events, record: Record) -> AbstractContextManager[None]:
        """Ask for the state of the job while inside; put its end into `events`."""
        if self._job is None:
            raise AssertionError("a night has its hosts before it is watched")
        return self._job.watched(list(self._nodes), events, record)

    def explained(self, error: BaseException, record: Record) -> BaseException:
        """Return why a night ended early: the end of the job, if the job has ended.

        A lost host stays the cause if all that Slurm knows is that the host is lost.

        Args:
            error: the error of the night.
            record: of the night.
        """
        if not self._nodes or self._job is None:
            return error
        return self._job.cause_of(error, record.note)

    @property
    def left_s(self) -> float:
        """Return for how many seconds the night may still use the hosts; infinite without a limit.

        The time to hand them back is not in it.
        """
        return self._job.left_s - HAND_BACK_S if self._job else float("inf")

    def too_late(self, needed_s: float, what: str) -> str:
        """Return why something is not begun; empty if there is time for it.

        Args:
            needed_s: how long it takes, as far as that is known; 0 if it is not.
            what: its name.
        """
        left_s = self.left_s
        if self._job is None or left_s > needed_s:
            return ""
        took = f"it took {duration(needed_s)} in the nights before, and " if needed_s else ""
        return (
            f"{what} is not begun: {took}Slurm ends job {self._job.number} at "
            f"{_end_of(self._job)}, {duration(max(left_s, 0.0))} are left; raise `time` under "
            f"`slurm:` in {self._hosts.path}"
        )

    def night_ended(self, record: Record, *, kept: bool) -> None:
        """Give the hosts back after the last night, unless its servers are to keep running.

        Args:
            record: of the night; receives the step.
            kept: whether its servers are kept; then `inv down` or the job's limit ends it.
        """
        self._nights -= 1
        job = self._job
        if job is None or not self.own:
            return
        if kept:
            end = _end_of(job)
            record.note(f"Slurm ends job {job.number} at {end}, and the servers with it")
            self._job = None
        elif self._nights <= 0:
            with record.step("give the hosts back to Slurm", "queue") as step:
                problem = self._release()
                step.detail = problem or f"Slurm job {job.number} is cancelled"
                if problem:
                    record.note(problem)
                elif (entry := record.run.slurm) is not None:
                    record.update(slurm=entry.model_copy(update={"released": True}))

    def _release(self) -> str:
        """Cancel the job if it is ours; return what went wrong."""
        job, self._job = self._job, None
        return job.cancel() if job and self.own else ""

    def _begin(self, record: Record, interrupts: Interrupts) -> WatchedJob:
        """Submit the job, unless this runs in one, and wait until it runs."""
        events: Events = SimpleQueue()
        try:
            with interrupts.forward_to(events):
                if self._job is None:
                    number = self._slurm.submit(self._hosts, self._count, record.id, owner())
                    self._job = WatchedJob(self._slurm, number)
                    self._note(self._job, record)
                self._take_nodes(self._job, self._queued(self._job, record).await_start(events))
        except BaseException as error:
            self._failure = error if isinstance(error, AllocationFailed) else None
            if problem := self._release():
                record.note(problem)
            raise
        return self._job

    def _queued(self, job: WatchedJob, record: Record) -> Queued:
        return Queued(
            job,
            self._hosts,
            bounded=self.own,
            ran=self._share is not None,
            note=record.note,
            waiting=lambda what, waited_s: record.view.waiting(what, waited_s, dict),
        )

    def _renew(self, job: WatchedJob, fate: Fate) -> None:
        """Forget a job that has ended, once, if another one may fare better.

        Raises:
            AllocationFailed: it would not, or this is the second one.
        """
        if not self.own or not fate.worth_again or self._was_renewed:
            raise job.failed(fate)
        self._was_renewed, self._nodes, self._job = True, {}, None

    def _take_nodes(self, job: WatchedJob, running: Job) -> None:
        """Take the nodes of a job that runs.

        Raises:
            UserError: there are too few.
            AllocationFailed: the job has lost some of those that the night is to have.
        """
        nodes = self._slurm.nodes(running.hostlist)
        self._nodes = of_share(self._share, nodes) if self._share else nodes
        count = len(self._nodes)
        require_enough(self._hosts, job.number, count, self._needed, own=self.own)

    def _note(self, job: WatchedJob, record: Record) -> None:
        last = job.last
        record.update(
            slurm={
                "job": job.number,
                "own": self.own,
                "login": self._login,
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
        UserError: the file does not exist, or it asks for fewer hosts.
        CaseError: it is not valid.
    """
    if request.local or not request.cluster:
        return None
    hosts = cluster_file.load_cluster(cluster_file.find(request.cluster)).slurm
    if hosts is None:
        return None
    share = Share(request.slurm_job, listed(request.on)) if request.slurm_job else None
    return Allocation(hosts, needed, nights, share)


def _end_of(job: WatchedJob) -> str:
    return job.last.ends_at if job.last else ""
