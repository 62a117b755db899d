"""Find the hosts that an operator selects: of a cluster, a case or a run, or this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.inventory import cluster_file
from ci.inventory.target import Accelerator, Target
from ci.paths import CASES, workspace_of

if TYPE_CHECKING:
    from ci.resolve import Options


def targets_of(options: Options, runs: str, run: str = "") -> tuple[Target, ...]:
    """Find the selected hosts.

    Args:
        options: `config` selects the hosts of a case, else `cluster` those of a cluster.
        runs: the folder of all runs.
        run: id of a run; its record is used if the options select no hosts.

    Raises:
        UserError: a file does not exist or is invalid.
    """
    from ci.case import load as cases  # noqa: PLC0415
    from ci.inventory.assign import nodes_of  # noqa: PLC0415 - as above

    if options.config:
        case = cases.load_one(options.config, CASES)
        return nodes_of(
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
        return tuple(_target(fields) for fields in listed)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path} has no valid list of hosts ({error}); name them with --cluster or --config",
        ) from None


def _target(fields: dict[str, object]) -> Target:
    values = dict(fields)
    accelerator = values.get("accelerator")
    if isinstance(accelerator, dict):
        values["accelerator"] = Accelerator(**accelerator)
    return Target(**values)  # type: ignore[arg-type]
