"""Which nodes of a Slurm job a night has: all of them, or a suite's share; and those still fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.documents.counted import counted
from ci.errors import AllocationFailed, UserError
from ci.run.slurm_job import JOB_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.inventory.slurm_hosts import SlurmHosts
    from ci.run.slurm_job import WatchedJob


@dataclass(frozen=True)
class Share:
    """The nodes of a suite's job that one of its nights has.

    Attributes:
        job: number of the job.
        nodes: their names, in the order of the case's nodes.
    """

    job: int
    nodes: tuple[str, ...]


def of_share(share: Share, nodes: Mapping[str, str]) -> dict[str, str]:
    """Return node → address of the nodes that a night has of a job.

    Args:
        share: what the night has.
        nodes: node → address of all nodes of the job.

    Raises:
        AllocationFailed: the job has lost some of them.
    """
    lost = [name for name in share.nodes if name not in nodes]
    if lost:
        left = len(share.nodes) - len(lost)
        raise AllocationFailed(
            "slurm_node_drained",
            f"Slurm job {share.job}: {lost[0]} is down, and no longer of the job, so {left} of "
            f"{len(share.nodes)} hosts are left",
            "see `sinfo -R`, and run again",
            worth_again=True,
        )
    return {name: nodes[name] for name in share.nodes}


def require_enough(hosts: SlurmHosts, number: int, count: int, needed: int, *, own: bool) -> None:
    """Require that a job has as many nodes as the largest night.

    Args:
        hosts: what was asked for.
        number: of the job.
        count: the number of its nodes.
        needed: the number of hosts of the largest night.
        own: whether the job was submitted here.

    Raises:
        UserError: there are too few.
    """
    if count >= needed:
        return
    if own:
        key = "slurm.nodelist" if hosts.nodelist else "slurm.nodes"
        raise UserError(
            f"{hosts.path}: {key}: Slurm gave {counted(count, 'node')}, and the case has {needed}; "
            "name more"
        )
    raise UserError(
        f"Slurm job {number} (${JOB_VARIABLE}) has {counted(count, 'node')}, and the case "
        f"has {needed}; allocate more (salloc -N {needed}), or unset {JOB_VARIABLE}: "
        "then a job of its own is submitted"
    )


def fit_nodes(
    job: WatchedJob, nodes: Mapping[str, str], needed: int, note: Callable[[str], None]
) -> list[str]:
    """Return the nodes for a night, without those that Slurm is about to take away.

    Args:
        job: the job.
        nodes: node → address of those the night may have.
        needed: the number of hosts of the largest night.
        note: receives what Slurm says of the others.

    Raises:
        AllocationFailed: too few are left.
    """
    unfit = job.unfit(list(nodes))
    fit = [name for name in nodes if name not in unfit]
    for name, text in unfit.items():
        note(f"Slurm job {job.number}: {name} is {text}")
    if len(fit) < needed:
        shown = ", ".join(f"{name} is {text}" for name, text in unfit.items())
        raise AllocationFailed(
            "slurm_node_drained",
            f"Slurm job {job.number}: {shown}, so {len(fit)} of {needed} hosts are left",
            "see `sinfo -R`, and run again",
            worth_again=True,
        )
    return fit
