"""A cgroup for each server: it holds what leaves its session and wipes its environment, too.

It is made below the supervisor's own, so that limits of a Slurm job or a container still hold.
Without a cgroup2 that may be written there is none, and the marker alone finds what is left.
"""

from __future__ import annotations

import contextlib
import os

from ci.remote.supervise.store import mark_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator, List, Optional, Tuple


def make(folder: str) -> str:
    """Make the cgroup of the process that has this folder; empty where that cannot be."""
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
    """Find that cgroup, wherever its supervisor was; empty where there is none."""
    name = _name(folder)
    with contextlib.suppress(OSError, StopIteration):
        for above, names, _ in os.walk(_hierarchy()[0]):
            if name in names:
                return os.path.join(above, name)
    return ""


def join(group: str) -> None:
    """Put this process into a cgroup."""
    with contextlib.suppress(OSError), open(os.path.join(group, "cgroup.procs"), "w") as file:
        file.write("0")


def member_of(pid: int) -> str:
    """Return the process of a run that a cgroup belongs to, `run/process`; empty for none."""
    with contextlib.suppress(OSError), open("/proc/%d/cgroup" % pid) as file:
        for part in file.read().replace("\n", "/").split("/"):
            words = part.split(",")
            if words[0] == "lamplighter" and len(words) == 4:  # noqa: PLR2004 - as `_name` has it
                return "%s/%s" % (words[1], words[2])
    return ""


def pids(group: str) -> Iterator[int]:
    """List the processes in a cgroup and those below it; none that this host cannot see."""
    for above, _, _ in os.walk(group) if group else ():
        with contextlib.suppress(OSError), open(os.path.join(above, "cgroup.procs")) as file:
            yield from filter(None, map(int, file))


def kill(group: str) -> None:
    """Kill all of a cgroup at one stroke, where the kernel can (since Linux 5.14)."""
    path = os.path.join(group, "cgroup.kill")
    with contextlib.suppress(OSError), os.fdopen(os.open(path, os.O_WRONLY), "w") as file:
        file.write("1")


def remove(group: str) -> None:
    """Remove a cgroup that is empty, and those below it."""
    folders: List[str] = [above for above, _, _ in os.walk(group)] if group else []
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _name(folder: str) -> str:
    run, process = os.path.normpath(folder).split(os.sep)[-2:]
    return "lamplighter,%s,%s,%s" % (run, process, mark_of(folder))


def _hierarchy() -> Tuple[str, str]:
    """Give where the cgroup2 hierarchy is mounted, and which part of it that shows."""
    with open("/proc/self/mountinfo") as file:
        found: Optional[Tuple[str, str]] = None
        for line in file:
            fields, _, kind = line.partition(" - ")
            if kind.startswith("cgroup2 "):
                found = found or (fields.split()[4], fields.split()[3])
    if found is None:
        raise StopIteration
    return found
