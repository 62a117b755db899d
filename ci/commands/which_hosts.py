"""Which hosts an operator means: a cluster's, a case's, a run's, or this machine. Reads files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.inventory import cluster_file
from ci.inventory.target import Accelerator, Target
from ci.paths import CASES, workspace_of

if TYPE_CHECKING:
    from ci.resolve import Selection


def targets_of(options: Selection, runs: str, run: str = "") -> tuple[Target, ...]:
    """Find the hosts.

    Args:
        options: `cluster` and `config` count, in this order.
        runs: the folder of all runs.
        run: whose record names the hosts, where neither is given.

    Raises:
        UserError: a file that was named is not there or not sound.
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
    recorded = Path(runs) / run / "run.json"
    if run and recorded.is_file():
        return _recorded(recorded)
    return (cluster_file.this_machine(workspace_of(options.workspace)),)


def _recorded(path: Path) -> tuple[Target, ...]:
    try:
        listed = json.loads(path.read_text("utf-8"))["targets"]
        return tuple(_target(one) for one in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} does not say where its hosts are ({error}); name them with --cluster or "
            "--config",
        ) from None


def _target(fields: dict[str, object]) -> Target:
    told = dict(fields)
    accelerator = told.get("accelerator")
    if isinstance(accelerator, dict):
        told["accelerator"] = Accelerator(**accelerator)
    return Target(**told)  # type: ignore[arg-type]
