"""`inv suite.night`: one night of a suite, in the process that `inv suite.run` starts for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.nightly import nightly
from ci.errors import UserError
from ci.inventory import cluster_file
from ci.request import listed
from ci.suite_run.order import read_order

if TYPE_CHECKING:
    from ci.errors import ExitCode
    from ci.request import Request


def night(order: str) -> ExitCode:
    """Run the night of an order as `inv nightly` does.

    Raises:
        UserError: the order cannot be read, or the case is wrong.
    """
    if not order:
        raise UserError("--order is missing; `inv suite.run` starts the nights of a suite")
    return nightly(_with_nodes(read_order(Path(order))))


def _with_nodes(request: Request) -> Request:
    """Return a request that names the nodes that it has of a Slurm job; their addresses follow."""
    if not request.slurm_job:
        return request
    hosts = cluster_file.load_cluster(cluster_file.find(request.cluster)).slurm
    if hosts is None:
        raise UserError(
            f"{request.cluster}: had `slurm:` when the suite began, and has none now; run the "
            "suite again"
        )
    return replace(request, allocated=hosts.named(listed(request.on)))
