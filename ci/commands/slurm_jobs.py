"""The jobs of Slurm that have hosts of runs: their hosts, the queue, and how to cancel them."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.connect.printed import one_line
from ci.errors import ExitCode, LamplighterError, UserError
from ci.inventory import cluster_file
from ci.record.stored import FILE, read_run
from ci.report import table
from ci.run.slurm_job import surrounding_job
from ci.slurm.client import Slurm
from ci.slurm.commands import JOB_NAME
from ci.slurm.states import RUNNING, fate_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.inventory.target import LoginHost, Target
    from ci.record.model import SlurmJob
    from ci.request import Request
    from ci.slurm.answers import Job, PartitionNodes, UnfitNode

QUEUE = ("partition", "state", "limit", "nodes", "they are", "names")
JOBS = ("job", "run", "state", "reason", "nodes", "starts or ends")


def slurm_of(request: Request) -> SlurmHosts | None:
    """Return what the selected cluster file asks Slurm for; None if it lists its hosts.

    Raises:
        UserError: the file does not exist or is invalid.
    """
    if request.local or not request.cluster:
        return None
    return cluster_file.load_cluster(cluster_file.find(request.cluster)).slurm


def client_of(hosts: SlurmHosts) -> Slurm:
    """Return a client; inside a job Slurm's commands are on this machine."""
    return Slurm(None if surrounding_job() else hosts.login)


def jobs_of(slurm: Slurm) -> list[Job]:
    """Return the jobs of this user's runs that wait or run, or the job in which this runs."""
    number = surrounding_job()
    if number:
        job = slurm.job(number)
        return [job] if job else []
    return [job for job in slurm.jobs_of_user() if job.name.startswith(JOB_NAME)]


def hosts_of_jobs(hosts: SlurmHosts, slurm: Slurm, jobs: Sequence[Job]) -> tuple[Target, ...]:
    """Return the hosts of the jobs that run."""
    return tuple(
        hosts.target(name, address, job.number)
        for job in jobs
        if job.state in RUNNING
        for name, address in slurm.nodes(job.hostlist).items()
    )


def hosts_now(hosts: SlurmHosts) -> tuple[Target, ...]:
    """Return the hosts that this user's runs, or the job in which this runs, have now.

    Raises:
        UserError: there are none.
    """
    with client_of(hosts) as slurm:
        found = hosts_of_jobs(hosts, slurm, jobs_of(slurm))
    if not found:
        raise UserError(
            f"{hosts.path}: its hosts come from Slurm, and no job of yours has any now; run this "
            "inside one (`salloc -N 2`, then the same command), or while a night runs"
        )
    return found


def nodes_of_partition(hosts: SlurmHosts) -> tuple[Target, ...]:
    """Return all nodes that a night may get, whoever has them now."""
    with client_of(hosts) as slurm:
        lists = [hosts.nodelist] if hosts.nodelist else _lists(slurm, hosts)
        nodes = {name: address for each in lists for name, address in slurm.nodes(each).items()}
    return tuple(hosts.target(name, address, 0) for name, address in nodes.items())


def _lists(slurm: Slurm, hosts: SlurmHosts) -> list[str]:
    found = slurm.partitions(hosts.partition)
    return [each.hostlist for each in found if hosts.partition or each.is_default]


@dataclass(frozen=True)
class Queue:
    """What Slurm shows of the partition and of this user's jobs."""

    partitions: tuple[PartitionNodes, ...]
    unfit: tuple[UnfitNode, ...]
    jobs: tuple[Job, ...]


def queue_of(hosts: SlurmHosts, slurm: Slurm) -> Queue:
    """Ask Slurm for the queue.

    Raises:
        InfrastructureError: it does not answer.
    """
    return Queue(
        tuple(slurm.partitions(hosts.partition)),
        tuple(slurm.unfit_nodes(hosts.partition)),
        tuple(jobs_of(slurm)),
    )


def queue_text(queue: Queue, width: int | None = None) -> str:
    """Format the partitions, and the jobs of runs. Pure.

    Args:
        queue: what Slurm shows.
        width: width of the terminal in columns; None for no limit.
    """
    text = table.as_text(QUEUE, _partition_rows(queue), width)
    if queue.jobs:
        text += "\n" + table.as_text(JOBS, _job_rows(queue), width)
    return text


def unfit_text(queue: Queue) -> str:
    """Return a line for each group of nodes that Slurm does not use. Pure."""
    return "".join(f"{one_line(str(node))}\n" for node in queue.unfit)


def queue_values(queue: Queue) -> dict[str, Any]:
    """Return the queue as JSON-ready values. Pure."""
    return {
        "partitions": [vars(each) for each in queue.partitions],
        "unfit": [vars(each) for each in queue.unfit],
        "jobs": [vars(each) for each in queue.jobs],
    }


def _partition_rows(queue: Queue) -> Iterator[tuple[str, ...]]:
    for each in queue.partitions:
        limit = "-" if each.limit_s is None else _limit(each.limit_s)
        shown = (each.partition, each.available, limit, str(each.count), each.state, each.hostlist)
        yield tuple(map(one_line, shown))


def _limit(seconds: float) -> str:
    return "none" if seconds == float("inf") else f"{seconds / 3600:g} h"


def _job_rows(queue: Queue) -> Iterator[tuple[str, ...]]:
    for job in queue.jobs:
        runs = job.state in RUNNING
        when = f"ends {job.ends_at}" if runs else f"starts {job.starts_at}"
        known = job.ends_at if runs else job.starts_at
        run = job.name.removeprefix(JOB_NAME)
        nodes = job.hostlist or str(job.nodes)
        shown = (str(job.number), run, job.state, job.reason, nodes, when if known else "")
        yield tuple(map(one_line, shown))


@dataclass(frozen=True)
class JobOfRun:
    """A job that a run submitted, or in which it ran.

    Attributes:
        run: the run's id.
        has_hosts: whether it runs, and the run has used its hosts.
        is_over: whether it has ended.
    """

    number: int
    run: str
    own: bool
    login: LoginHost | None
    has_hosts: bool
    is_over: bool
    state: str

    def cancel(self) -> str:
        """Cancel it, if a run submitted it and it has not ended; return what was wrong."""
        if not self.own or self.is_over:
            return ""
        try:
            with Slurm(self.login) as slurm:
                slurm.cancel(self.number)
        except LamplighterError as error:
            return f"Slurm job {self.number} of {self.run} could not be cancelled: {error}"
        print(f"Slurm job {self.number} of {self.run} is cancelled")
        return ""


def job_of_run(runs: str, run: str) -> JobOfRun | None:
    """Return the job of a recorded run; None if it has none, or its record cannot be read.

    Raises:
        InfrastructureError: Slurm does not answer.
    """
    folder = Path(runs) / run
    if not run or not (folder / FILE).is_file():
        return None
    try:
        recorded = read_run(folder).run.slurm
    except UserError:
        return None
    return job_of(recorded, run) if recorded else None


def job_of(recorded: SlurmJob, run: str) -> JobOfRun:
    """Ask Slurm for a recorded job.

    Args:
        recorded: what the record says of it.
        run: id of the run, or of the suite's run.

    Raises:
        InfrastructureError: Slurm does not answer.
    """
    with Slurm(recorded.login) as slurm:
        job = slurm.job(recorded.job)
    state = job.state if job else ""
    return JobOfRun(
        number=recorded.job,
        run=run,
        own=recorded.own,
        login=recorded.login,
        has_hosts=state in RUNNING and bool(recorded.nodes),
        is_over=fate_of(state, ran=False) is not None,
        state=state or "no longer known to Slurm",
    )


def jobs_of_cluster(request: Request) -> list[JobOfRun]:
    """Return the jobs of this user's runs on the selected cluster; none without `slurm:`."""
    hosts = slurm_of(request)
    if hosts is None:
        return []
    with client_of(hosts) as slurm:
        found = jobs_of(slurm)
    login = None if surrounding_job() else hosts.login
    return [
        JobOfRun(
            job.number, job.name.removeprefix(JOB_NAME), job.name.startswith(JOB_NAME), login,
            has_hosts=job.state in RUNNING, is_over=False, state=job.state,
        )
        for job in found
    ]  # fmt: skip


def cancel_all(jobs: Sequence[JobOfRun], *, dry_run: bool) -> ExitCode:
    """Cancel the jobs that runs submitted; return whether all could be cancelled."""
    if dry_run:
        for job in jobs:
            if job.own and not job.is_over:
                print(f"would cancel Slurm job {job.number} of {job.run}")
        return ExitCode.PASS
    problems = [problem for job in jobs if (problem := job.cancel())]
    for problem in problems:
        print(one_line(problem), file=sys.stderr)
    return ExitCode.UNKNOWN if problems else ExitCode.PASS
