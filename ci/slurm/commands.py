"""Build the command lines of Slurm. Pure: lists of arguments, which no shell interprets here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.slurm.answers import JOB_FORMAT, PARTITION_FORMAT, REASON_FORMAT, duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.inventory.slurm_hosts import SlurmHosts

JOB_NAME = "lamplighter-"
# Slurm removes a job that would not start in time; so it does if this program has died.
DEADLINE_MARGIN_S = 60.0
# The batch script of a job that only has nodes: it ends with the job.
HOLDER = b"#!/bin/sh\nexec sleep 2147483647\n"


def submit(
    hosts: SlurmHosts, nodes: int | None, run: str, owner: str, more: Sequence[str] = ()
) -> list[str]:
    """Return the sbatch of an allocation; HOLDER is its standard input.

    Args:
        hosts: what to ask for.
        nodes: how many; None if a list of nodes says it.
        run: id of the run, for the job's name.
        owner: who runs it, for people who look at the queue.
        more: further options.
    """
    ends_s = hosts.wait_s + hosts.time_s + DEADLINE_MARGIN_S
    return [
        "sbatch",
        "--parsable",
        *_asked(hosts, nodes),
        "--no-requeue",
        *more,
        f"--deadline=now+{int(ends_s)}",
        f"--job-name={JOB_NAME}{run}",
        f"--comment={owner}",
        *(f"--{name}=/dev/null" for name in ("input", "output", "error")),
        "--chdir=/tmp",
        "--export=NONE",
    ]


def try_submit(hosts: SlurmHosts, nodes: int | None) -> list[str]:
    """Return the sbatch that only says whether and when such a job would start."""
    return ["sbatch", "--test-only", *_asked(hosts, nodes), "--chdir=/tmp", "--export=NONE"]


def _asked(hosts: SlurmHosts, nodes: int | None) -> list[str]:
    whole = ["--exclusive", "--mem=0"]
    given = [word.partition("=")[0] for word in hosts.options]
    return [
        *(word for word in whole if word.partition("=")[0] not in given),
        *([] if nodes is None else [f"--nodes={nodes}"]),
        f"--time={duration(hosts.time_s)}",
        *hosts.options,
    ]


def job(number: int) -> list[str]:
    """Return the squeue of a job, also of one that has ended a moment ago."""
    return ["squeue", "-h", "-t", "all", "-j", str(number), "-o", JOB_FORMAT]


def jobs_of_user() -> list[str]:
    """Return the squeue of all jobs of this user that have not ended."""
    return ["squeue", "-h", "--me", "-o", JOB_FORMAT]


def cancel(number: int) -> list[str]:
    """Return the scancel of a job."""
    return ["scancel", str(number)]


def canceller(number: int) -> list[str]:
    """Return the sacct that may know who cancelled a job."""
    return ["sacct", "-n", "-P", "-X", "-j", str(number), "-o", "State"]


def names_in(hostlist: str) -> list[str]:
    """Return the scontrol that expands a list of nodes."""
    return ["scontrol", "show", "hostnames", hostlist]


def nodes(names: Sequence[str]) -> list[str]:
    """Return the scontrol that describes nodes, one on each line."""
    return ["scontrol", "show", "node", "-o", ",".join(names)]


def node_states(names: Sequence[str]) -> list[str]:
    """Return the sinfo of nodes, one on each line, with the reasons of those that are not used."""
    return ["sinfo", "-h", "-N", "-n", ",".join(names), "-o", "%N|%T|%E"]


def partitions(partition: str) -> list[str]:
    """Return the sinfo of a partition; of all if it is empty."""
    chosen = ["-p", partition] if partition else []
    return ["sinfo", "-h", *chosen, "-o", PARTITION_FORMAT]


def unfit_nodes(partition: str) -> list[str]:
    """Return the sinfo of the nodes that Slurm does not use, with the reasons."""
    chosen = ["-p", partition] if partition else []
    return ["sinfo", "-h", "-R", *chosen, "-o", REASON_FORMAT]
