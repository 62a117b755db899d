"""Examine what Slurm says before a night asks it for hosts. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.doctor.model import Finding
from ci.documents.counted import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.slurm.answers import PartitionNodes, UnfitNode

UP = "up"
NOT_NOW = "Requested node configuration is not available"


def queue_findings(
    hosts: SlurmHosts,
    partitions: Sequence[PartitionNodes],
    unfit: Sequence[UnfitNode],
    would_start: tuple[bool, str],
    needed: int,
) -> list[Finding]:
    """Return what stands in the way of a night, and what one should know.

    Args:
        hosts: what the cluster file asks for.
        partitions: the nodes of the partition, or of all.
        unfit: the nodes that Slurm does not use.
        would_start: whether Slurm would take the job, and its words.
        needed: the number of hosts of the case.
    """
    return [
        *_partition(hosts, partitions, max(needed, hosts.nodes or 0)),
        *_job(hosts, would_start),
        *(_unfit(node) for node in unfit),
    ]


def _partition(
    hosts: SlurmHosts, partitions: Sequence[PartitionNodes], needed: int
) -> Iterator[Finding]:
    chosen = [each for each in partitions if hosts.partition or each.is_default]
    name = hosts.partition or (chosen[0].partition if chosen else "")
    if not chosen:
        known = ", ".join(dict.fromkeys(each.partition for each in partitions))
        what = f"there is no partition {name}" if name else "there is no default partition"
        there = f"; there are: {known}" if known else ""
        yield _error(f"{what}{there}", f"correct slurm.partition in {hosts.path}; see `sinfo`")
        return
    if all(each.available != UP for each in chosen):
        yield _error(
            f"partition {name} is {chosen[0].available}: its jobs do not start",
            "choose another partition, or ask the cluster's operators",
        )
    count = sum(each.count for each in chosen)
    if count < needed:
        yield _error(
            f"partition {name} has {counted(count, 'node')}, and the night needs {needed}",
            f"correct slurm.partition or slurm.nodes in {hosts.path}",
        )
    limit_s = max((math.inf if each.limit_s is None else each.limit_s) for each in chosen)
    if hosts.time_s > limit_s:
        yield _error(
            f"partition {name} gives nodes for {limit_s / 3600:g} h at most, and slurm.time is "
            f"{hosts.time_s / 3600:g} h",
            f"lower slurm.time in {hosts.path}, or choose another partition",
        )


def _job(hosts: SlurmHosts, would_start: tuple[bool, str]) -> Iterator[Finding]:
    taken, text = would_start
    if taken:
        yield Finding("", "slurm", "info", f"Slurm would take the job: {one_line(text)}", "")
    elif NOT_NOW in text:  # sbatch accepts such a job, and it waits
        yield Finding(
            "",
            "slurm",
            "warning",
            f"Slurm could not start the job now: {one_line(text)}",
            "see the nodes above that are down or drained; the night would wait for them",
        )
    else:
        yield _error(
            f"Slurm would refuse the job: {one_line(text)}",
            f"correct `slurm:` in {hosts.path}; `sacctmgr show assoc user=$USER` shows what your "
            "account may submit",
        )


def _unfit(node: UnfitNode) -> Finding:
    advice = "Slurm gives other nodes meanwhile"
    return Finding("", "slurm", "warning", one_line(str(node)), advice)


def _error(message: str, advice: str) -> Finding:
    return Finding("", "slurm", "error", message, advice)
