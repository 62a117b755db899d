"""End a run of a suite whose controller has died: cancel the Slurm job that it left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.commands.slurm_jobs import cancel_all, job_of
from ci.errors import UserError
from ci.suite_run.folder import is_running, named_suite_run, read_suite

if TYPE_CHECKING:
    from pathlib import Path

    from ci.errors import ExitCode


def down_suite(runs: Path, run: str, *, dry_run: bool) -> ExitCode | None:
    """Cancel the job of a suite's run; the nights that still run in it hand their hosts back.

    Args:
        runs: the folder of all runs.
        run: id or folder.
        dry_run: only say what would be cancelled.

    Returns:
        None if no suite has this run, or the suite has no Slurm job.

    Raises:
        UserError: its controller runs.
        InfrastructureError: Slurm does not answer.
    """
    try:
        path = named_suite_run(runs, run)
        recorded = read_suite(path).slurm
    except UserError:
        return None
    if recorded is None or not recorded.job:
        return None
    if is_running(path):
        raise UserError(
            f"{path.name}: its controller runs; Ctrl-C or a SIGTERM to it hands the hosts back, "
            f"and cancels Slurm job {recorded.job}"
        )
    job = job_of(recorded, path.name)
    if job.is_over or not job.own:
        whose = "" if job.own else ", in which the suite ran and which it does not end"
        print(f"{path.name}: its Slurm job {job.number} is {job.state}{whose}")
    return cancel_all([job], dry_run=dry_run)
