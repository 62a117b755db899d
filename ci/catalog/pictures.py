"""Find the pictures of requests on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci.case.model import PICTURES
from ci.catalog.dataset_places import candidates_of
from ci.errors import UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# The picture of a dataset, as in vllm-ascend's `tools/send_mm_request.py`.
FILE = "test_mm2.jpg"


def find(name: str, roots: Sequence[Path], *, on_host: bool = False) -> Path | None:
    """Find a picture.

    Args:
        name: a file's path, also as `file://`; or the name of a dataset with the file `FILE`.
            $MM_IMAGE_PATH replaces the usual dataset.
        roots: folders with one folder per dataset; the first that has it is used.
        on_host: a path that is not here may be one of the leader's.

    Returns:
        The file on this machine; None for a path of the leader.

    Raises:
        UserError: there is no such file; the message explains how to get it.
    """
    if name == PICTURES:
        name = os.environ.get("MM_IMAGE_PATH") or name
    name = plain_path(name)
    for candidate in candidates_of(name, None, roots):
        for path in (candidate, candidate / FILE):
            if path.is_file():
                return path
    own = at_home_here(name)
    if own.is_absolute():
        if on_host:
            return None
        raise UserError(f"picture {name}: no such file, or no {FILE} in it; correct the path")
    looked = ", ".join(str(root / own.name) for root in roots) or "nowhere"
    raise UserError(
        f"picture {name} not found: set LAMPLIGHTER_DATASETS to a folder that has "
        f"{own.name}/{FILE}, or MM_IMAGE_PATH to a picture, or give a file's path (looked in "
        f"{looked} and the caches of the hubs)"
    )


def plain_path(name: str) -> str:
    """Return the path in a `file://` URL; other names unchanged."""
    return name[len("file://") :] if name.lower().startswith("file://") else name
