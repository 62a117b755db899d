"""A cgroup for each server, which also has processes that leave the session and clear the marker.

It is below the supervisor's own cgroup, so that the limits of a Slurm job or a container apply.
Without a writable cgroup2 there is no cgroup, and only the marker identifies the processes.
"""

from __future__ import annotations

import os

from ci.remote.lean import suppress
from ci.remote.supervise.store import mark_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple


def make(folder: str) -> str:
    """Make the cgroup for the process with this folder; return empty if it cannot be made."""
    try:
        mount, inside = _hierarchy()
        with open("/proc/self/cgroup") as file:
            path = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
        below = os.path.relpath(path, inside) if inside != "/" else path.lstrip("/")
        group = os.path.normpath(os.path.join(mount, below, _name(folder)))
        os.mkdir(group)
    except (OSError, ValueError, StopIteration):
        return ""
    return group


def find(folder: str) -> str:
    """Find the cgroup of the process with this folder; empty if it does not exist."""
    name = _name(folder)
    with suppress(OSError, StopIteration):
        for above, names, _ in os.walk(_hierarchy()[0]):
            if name in names:
                return os.path.join(above, name)
    return ""


def join(group: str) -> None:
    """Put this process into a cgroup."""
    with suppress(OSError), open(os.path.join(group, "cgroup.procs"), "w") as file:
        file.write("0")


def member_of(pid: int) -> str:
    """Return the process of a run, `run/process`, from the cgroup of a pid; empty if unknown."""
    with suppress(OSError), open("/proc/%d/cgroup" % pid) as file:
        for part in file.read().replace("\n", "/").split("/"):
            words = part.split(",")
            if words[0] == "lamplighter" and len(words) == 4:  # noqa: PLR2004 - see `_name`
                return "%s/%s" % (words[1], words[2])
    return ""


def pids(group: str) -> Iterator[int]:
    """List the visible processes in a cgroup and in the cgroups below it."""
    for above, _, _ in os.walk(group) if group else ():
        with suppress(OSError), open(os.path.join(above, "cgroup.procs")) as file:
            yield from filter(None, map(int, file))


def kill(group: str) -> None:
    """Kill all processes of a cgroup together, if the kernel can (since Linux 5.14)."""
    path = os.path.join(group, "cgroup.kill")
    with suppress(OSError), os.fdopen(os.open(path, os.O_WRONLY), "w") as file:
        file.write("1")


def remove(group: str) -> None:
    """Remove an empty cgroup and the cgroups below it."""
    folders: List[str] = [above for above, _, _ in os.walk(group)] if group else []
    for folder in reversed(folders):
        with suppress(OSError):
            os.rmdir(folder)


def _name(folder: str) -> str:
    run, process = os.path.normpath(folder).split(os.sep)[-2:]
    return "lamplighter,%s,%s,%s" % (run, process, mark_of(folder))


def _hierarchy() -> Tuple[str, str]:
    """Return the mount point of the cgroup2 hierarchy, and the mounted part of the hierarchy."""
    with open("/proc/self/mountinfo") as file:
        first: Optional[Tuple[str, str]] = None
        for line in file:
            fields, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                first = first or (fields.split()[4], fields.split()[3])
    if first is None:
        raise StopIteration
    return first
