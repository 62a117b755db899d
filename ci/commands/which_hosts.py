"""Find the hosts that an operator selects: of a cluster, a case or a run, or this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.slurm_jobs import hosts_now, slurm_of
from ci.commands.which_run import run_named
from ci.errors import UserError
from ci.history.named import begun_folder, last_of_case
from ci.history.select import LAST
from ci.inventory import cluster_file
from ci.paths import CASES, absolute, workspace_of
from ci.record.stored import FILE, read_run

if TYPE_CHECKING:
    from ci.inventory.target import Target
    from ci.request import Request


def targets_of(request: Request, run: str = "") -> tuple[Target, ...]:
    """Find the selected hosts.

    Args:
        request: `config` selects the hosts of a case, else `cluster` those of a cluster.
        run: id of a run; its record is used if the request selects no hosts.

    Raises:
        UserError: a file does not exist or is invalid.
    """
    from ci.case import load as cases  # noqa: PLC0415
    from ci.inventory.assign import assign_hosts, chosen_of, named_hosts  # noqa: PLC0415 - as above

    if slurm := slurm_of(request):
        return tuple(chosen_of(hosts_now(slurm), request.on))
    if request.config:
        case = cases.load_one(request.config, CASES)
        return assign_hosts(
            case,
            local=request.local,
            cluster=request.cluster,
            workspace=request.workspace,
            on=request.on,
        )
    if request.on:
        return tuple(named_hosts(request.cluster, request.on))
    if request.cluster:
        return cluster_file.load(cluster_file.find(request.cluster))
    if run and (Path(request.runs) / run / FILE).is_file():
        return _recorded(Path(request.runs) / run)
    return (cluster_file.this_machine(workspace_of(request.workspace)),)


def named_run(request: Request, run: str) -> tuple[Request, str]:
    """Find the run that an operator names by its id, a unique beginning of it, or its folder.

    Returns:
        The request with the folder of all runs that has it, and its id. A name that nothing here
        has is taken for the id of a run on the hosts.

    Raises:
        UserError: several runs begin so.
    """
    found = begun_folder(Path(request.runs), run)
    if found is None:
        return request, run
    folder = absolute(found)
    if folder.parent == absolute(Path(request.runs)):
        return request, folder.name
    return replace(request, runs=str(folder.parent)), folder.name


def last_night_named(request: Request, run: str) -> str:
    """Return the id of the last night that a case's name or `last` means; empty if it means none.

    Args:
        request: has the folder of all runs.
        run: what the operator named.
    """
    runs = Path(request.runs)
    if run == LAST:
        return run_named(runs, run).folder.name
    if begun_folder(runs, run):
        return ""
    found = last_of_case(runs, run)
    return found.name if found else ""


def _recorded(folder: Path) -> tuple[Target, ...]:
    try:
        targets = read_run(folder).run.targets
    except UserError as error:
        raise UserError(f"{error}; or name the hosts with --cluster or --config") from None
    if not targets:
        raise UserError(
            f"{folder / FILE} does not say where its hosts are: the run ended before they were "
            "known; name them with --cluster or --config"
        )
    return targets
