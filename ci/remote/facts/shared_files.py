"""The files of this user in /dev/shm: files that a night leaves there take memory of the next."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

MOST = 1000


def own(
    folder: str = "/dev/shm",  # noqa: S108 - only read
    known: Optional[List[str]] = None,
) -> Optional[Dict[str, int]]:
    """Return name → bytes, for the first `MOST` files; None for a host without that folder.

    Args:
        folder: the folder.
        known: names from before; of the others, those that a process holds are left out.
    """
    sizes: Dict[str, int] = {}
    inodes: Dict[str, int] = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if len(sizes) == MOST:
                    break
                try:
                    status = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if status.st_uid == os.getuid():
                    sizes[entry.name] = status.st_blocks * 512
                    inodes[entry.name] = status.st_ino
    except OSError:
        return None
    if known is not None and not sizes.keys() <= set(known):
        from ci.remote.supervise import shared  # noqa: PLC0415 - it reads every process

        held = shared.held()
        sizes = {n: size for n, size in sizes.items() if n in known or inodes[n] not in held}
    return sizes
