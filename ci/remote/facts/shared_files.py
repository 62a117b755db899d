"""The files of this user in /dev/shm: what a night has left there is memory that the next lacks."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

MOST = 1000


def own(folder: str = "/dev/shm") -> Optional[Dict[str, int]]:  # noqa: S108 - it is only read
    """Return name → bytes; None for a host without that folder. Bounded: the rest is left out."""
    sizes: Dict[str, int] = {}
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
    except OSError:
        return None
    return sizes
