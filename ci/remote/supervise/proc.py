"""Find and end a process with all its descendants. Reads /proc."""

from __future__ import annotations

import os
import time

from ci.remote.lean import signal, suppress
from ci.remote.supervise import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set, Tuple

    from ci.remote.supervise.shared import Shared

MARKER = "LAMPLIGHTER_RUN"
TICK_S = 1.0
REST_GRACE_S = 2.0  # for the descendants of a process that has ended by itself
# After so long a process that KILL has not ended is reported as a survivor. A server that frees
# gigabytes of a host's or a device's memory on a busy machine takes more than five seconds.
KILL_PATIENCE_S = 20.0


class ProcInfo:
    """A process. `began` distinguishes it from a later process with the same pid."""

    def __init__(self, pid: int, began: int, parent: int, alive: bool) -> None:  # noqa: FBT001
        self.pid = pid
        self.began = began
        self.parent = parent
        self.alive = alive


def look(pid: str) -> Optional[ProcInfo]:
    """Read a process; None if it has ended. Fields as in proc(5), counted from the state."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            raw = file.read()
    except OSError:
        return None
    fields = raw[raw.rindex(b")") + 2 :].split()
    # A process whose first thread has ended looks like a zombie while its other threads live.
    alive = fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
    return ProcInfo(int(pid), int(fields[19]), int(fields[1]), alive)


def is_marked(pid: int, marker: bytes) -> bool:
    """Return whether a process was started with the marker in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:
        return False


def run_of(pid: int) -> str:
    """Return the process of a run that a pid belongs to, `run/process`; empty if unknown."""
    start = MARKER.encode() + b"="
    with suppress(OSError), open("/proc/%d/environ" % pid, "rb") as file:
        for pair in file.read().split(b"\0"):
            if pair.startswith(start):
                return pair[len(start) :].decode("utf-8", "replace")
    return cgroup.member_of(pid)


def members(root: int, marker: bytes, group: str = "") -> Set[ProcInfo]:
    """Find living descendants of `root`, members of the cgroup, and marked processes."""
    running = [item for item in map(look, filter(str.isdigit, os.listdir("/proc"))) if item]
    children: Dict[int, List[ProcInfo]] = {}
    for item in running:
        children.setdefault(item.parent, []).append(item)
    tree: Set[ProcInfo] = set()
    level = children.get(root, [])
    while level:
        tree.update(level)
        level = [child for item in level for child in children.get(item.pid, ())]
        level = [child for child in level if child not in tree]
    grouped = set(cgroup.pids(group))
    tree.update(item for item in running if item.pid in grouped)
    tree.update(item for item in running if item not in tree and is_marked(item.pid, marker))
    return {item for item in tree if item.alive and item.pid != os.getpid()}


class Termination:
    """TERM, then KILL from `kill_at` on; each process gets each signal once."""

    def __init__(
        self, root: int, marker: bytes, grace_s: float, shared: Shared, group: str = ""
    ) -> None:
        self.root = root
        self.group = group
        self.shared = shared
        self.marker = marker
        self.kill_at = time.monotonic() + grace_s
        self.termed: Set[Tuple[int, int]] = set()
        self.killed: Set[Tuple[int, int]] = set()

    def step(self) -> Set[ProcInfo]:
        """Signal each process that has not had the current signal yet; return the living ones."""
        left = members(self.root, self.marker, self.group)
        self.shared.look(lambda: [process.pid for process in left])
        kill = time.monotonic() >= self.kill_at
        signalled = self.killed if kill else self.termed
        for process in left:
            if (process.pid, process.began) in signalled:
                continue
            now = look(str(process.pid))
            if now and now.began == process.began:
                with suppress(OSError):
                    os.kill(process.pid, signal.SIGKILL if kill else signal.SIGTERM)
            signalled.add((process.pid, process.began))
        if kill and left and self.group:
            cgroup.kill(self.group)
        return left

    @property
    def given_up(self) -> bool:
        """Return whether KILL_PATIENCE_S has passed since KILL."""
        return time.monotonic() >= self.kill_at + KILL_PATIENCE_S

    @property
    def pause_s(self) -> float:
        """Return how long to wait: the end of a process that is not a child causes no signal."""
        if self.given_up:
            return TICK_S
        left = self.kill_at - time.monotonic()
        return 0.02 if left <= 0 else min(left, 0.25)

    def report(self, left: Set[ProcInfo]) -> Dict[str, Any]:
        """Return the fields of the state about the termination."""
        survivors = sorted(process.pid for process in left) if self.given_up else []
        killed = len(self.killed)
        return {"survivors": survivors, "killed": killed, "escalated": killed > 0}


def terminate_tree(
    root: int, marker: bytes, grace_s: float, shared: Shared, group: str = ""
) -> Dict[str, Any]:
    """Terminate a process tree without the event loop of a supervisor."""
    termination = Termination(root, marker, grace_s, shared, group)
    while True:
        left = termination.step()
        if not left:
            shared.remove()
            cgroup.remove(group)
        if not left or termination.given_up:
            return termination.report(left)
        time.sleep(0.02)
