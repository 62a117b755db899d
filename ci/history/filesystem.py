"""Find out whether a file system is shared over a network. Reads /proc/self/mountinfo."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
# Machines that share one of these see a file's content, but not each other's memory of it.
NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre"),
        *("beegfs", "gpfs", "orangefs", "ocfs2", "gfs2", "virtiofs", "panfs", "wekafs", "pvfs2"),
    }
)


def network_filesystem(path: Path) -> str:
    """Return the type of the file system of a path if it is shared over a network; else empty."""
    try:
        mounts = MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    kind = type_of(os.path.realpath(path), mounts)
    return kind if kind in NETWORK or kind.startswith("fuse.") else ""


def type_of(path: str, mounts: str) -> str:
    """Return the type of a path's file system; empty if no mount is known. Pure.

    Args:
        path: absolute, without links.
        mounts: the text of /proc/self/mountinfo; see proc_pid_mountinfo(5).
    """
    kind, longest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or not after:  # noqa: PLR2004 - the fifth word is the mount point
            continue
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), words[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of several mounts on the same folder, the last is the visible one.
        if inside and len(point) >= longest:
            kind, longest = after.split()[0], len(point)
    return kind
