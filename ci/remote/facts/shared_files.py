"""The files of this user in /dev/shm: what a night has left there is memory that the next lacks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, List, Optional

MOST = 1000


def own(
    folder: str = "/dev/shm",  # noqa: S108 - it is only read
    known: Optional[List[str]] = None,
) -> Optional[Dict[str, int]]:
    """Return name → bytes; None for a host without that folder. Bounded: the rest is left out.

    Args:
        folder: the folder.
        known: names from before; of the others, those that a process holds are its own.
    """
    sizes: Dict[str, int] = {}
    inodes: Dict[str, int] = {}
    try:
        with os.scandir(folder) as found:
            for one in found:
                if len(sizes) == MOST:
                    break
                try:
                    seen = one.stat(follow_symlinks=False)
                except OSError:
                    continue
                if seen.st_uid == os.getuid():
                    sizes[one.name] = seen.st_blocks * 512
                    inodes[one.name] = seen.st_ino
    except OSError:
        return None
    if known is not None and not sizes.keys() <= set(known):
        from ci.remote.supervise import shared  # noqa: PLC0415 - it reads every process

        held = shared.held()
        sizes = {n: size for n, size in sizes.items() if n in known or inodes[n] not in held}
    return sizes
