"""`inv datasets.fetch`: download the datasets that may be, and check them."""

from __future__ import annotations

from pathlib import Path

from ci.catalog import datasets
from ci.errors import ExitCode
from ci.paths import workspace_of


def fetch(name: str, workspace: str) -> ExitCode:
    """Fetch one dataset, or all of them; prints a line about each.

    Args:
        name: of the dataset; empty for all.
        workspace: where they are kept; empty takes this machine's.

    Raises:
        UserError: an unknown name.
        InfrastructureError: the download failed, or is not what it should be.
    """
    folder = Path(workspace_of(workspace)) / "datasets"
    for dataset in [name] if name else datasets.fetchable():
        print(datasets.fetch(dataset, folder), flush=True)
    return ExitCode.PASS
