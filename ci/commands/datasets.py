"""`inv datasets.fetch`: download datasets and verify them."""

from __future__ import annotations

from pathlib import Path

from ci.catalog import dataset_fetch
from ci.errors import ExitCode
from ci.paths import workspace_of


def fetch(name: str, workspace: str) -> ExitCode:
    """Fetch one dataset or all of them, and print a line about each.

    Args:
        name: name of the dataset; empty for all.
        workspace: folder in which they are stored; empty takes this machine's workspace.

    Raises:
        UserError: unknown name.
        InfrastructureError: the download failed, or its checksum is wrong.
    """
    folder = Path(workspace_of(workspace)) / "datasets"
    for dataset in [name] if name else dataset_fetch.fetchable():
        print(dataset_fetch.fetch(dataset, folder), flush=True)
    return ExitCode.PASS
