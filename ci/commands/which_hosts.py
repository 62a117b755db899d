"""Find the hosts that an operator selects: of a cluster, a case or a run, or this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.inventory import cluster_file
from ci.paths import CASES, workspace_of
from ci.record.stored import FILE, read_run

if TYPE_CHECKING:
    from ci.inventory.target import Target
    from ci.resolve import Selection


def targets_of(options: Selection, runs: str, run: str = "") -> tuple[Target, ...]:
    """Find the selected hosts.

    Args:
        options: `config` selects the hosts of a case, else `cluster` those of a cluster.
        runs: the folder of all runs.
        run: id of a run; its record is used if the options select no hosts.

    Raises:
        UserError: a file does not exist or is invalid.
    """
    from ci.case import load as cases  # noqa: PLC0415
    from ci.inventory.assign import assign_hosts  # noqa: PLC0415 - as above

    if options.config:
        case = cases.load_one(options.config, CASES)
        return assign_hosts(
            case, local=options.local, cluster=options.cluster, workspace=options.workspace
        )
    if options.cluster:
        return cluster_file.load(cluster_file.find(options.cluster))
    if run and (Path(runs) / run / FILE).is_file():
        return _recorded(Path(runs) / run)
    return (cluster_file.this_machine(workspace_of(options.workspace)),)


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
