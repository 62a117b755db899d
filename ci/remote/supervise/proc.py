"""What runs on this host: a process's whole descent, found and ended. Reads /proc."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import namedtuple

from ci.remote.supervise import cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set, Tuple

    from ci.remote.supervise.shared import Shared

MARKER = "LAMPLIGHTER_RUN"
TICK_S = 1.0
REST_GRACE_S = 2.0  # for what a process leaves behind when it ends by itself
KILL_PATIENCE_S = 5.0  # after which what does not die of KILL is reported as a survivor


# A process. `began` distinguishes it from a later process with the same pid.
# Importing typing.NamedTuple takes 5 ms on each host.
ProcInfo = namedtuple("ProcInfo", ("pid", "began", "parent", "alive"))  # noqa: PYI024


def look(pid: str) -> Optional[ProcInfo]:
    """Read one process; None when it is gone. Fields as in proc(5), counted from the state."""
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
    """Tell whether a process was started with our marker in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marker in file.read().split(b"\0")
    except OSError:
        return False


def run_of(pid: int) -> str:
    """Return the process of a run that it belongs to, `run/process`; empty if unknown."""
    start = MARKER.encode() + b"="
    with contextlib.suppress(OSError), open("/proc/%d/environ" % pid, "rb") as file:
        for pair in file.read().split(b"\0"):
            if pair.startswith(start):
                return pair[len(start) :].decode("utf-8", "replace")
    return cgroup.member_of(pid)


def members(root: int, marker: bytes, group: str = "") -> Set[ProcInfo]:
    """Find what lives of the descent of `root`, in the cgroup, and with the marker; never us."""
    seen = [one for one in map(look, filter(str.isdigit, os.listdir("/proc"))) if one]
    children: Dict[int, List[ProcInfo]] = {}
    for one in seen:
        children.setdefault(one.parent, []).append(one)
    found: Set[ProcInfo] = set()
    fresh = children.get(root, [])
    while fresh:
        found.update(fresh)
        fresh = [
            child for one in fresh for child in children.get(one.pid, []) if child not in found
        ]
    grouped = set(cgroup.pids(group))
    found.update(one for one in seen if one.pid in grouped)
    found.update(one for one in seen if one not in found and is_marked(one.pid, marker))
    return {one for one in found if one.alive and one.pid != os.getpid()}


class Termination:
    """TERM, then KILL from `kill_at` on, each once to every process that is found."""

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
        """Signal each process that has not had the present signal yet; return those still there."""
        left = members(self.root, self.marker, self.group)
        self.shared.look(lambda: [one.pid for one in left])
        kill = time.monotonic() >= self.kill_at
        signalled = self.killed if kill else self.termed
        for one in left:
            if one[:2] in signalled:
                continue
            now = look(str(one.pid))
            if now and now.began == one.began:
                with contextlib.suppress(OSError):
                    os.kill(one.pid, signal.SIGKILL if kill else signal.SIGTERM)
            signalled.add(one[:2])
        if kill and left and self.group:
            cgroup.kill(self.group)
        return left

    @property
    def given_up(self) -> bool:
        """KILL has had its time."""
        return time.monotonic() >= self.kill_at + KILL_PATIENCE_S

    @property
    def pause_s(self) -> float:
        """How long to wait for a sign of an end: only what is not our own child gives none."""
        if self.given_up:
            return TICK_S
        left = self.kill_at - time.monotonic()
        return 0.02 if left <= 0 else min(left, 0.25)

    def report(self, left: Set[ProcInfo]) -> Dict[str, Any]:
        """Say what it took."""
        survivors = sorted(one.pid for one in left) if self.given_up else []
        killed = len(self.killed)
        return {"survivors": survivors, "killed": killed, "escalated": killed > 0}


def terminate_tree(
    root: int, marker: bytes, grace_s: float, shared: Shared, group: str = ""
) -> Dict[str, Any]:
    """Terminate a whole descent without a supervisor's event loop."""
    termination = Termination(root, marker, grace_s, shared, group)
    while True:
        left = termination.step()
        if not left:
            shared.remove()
            cgroup.remove(group)
        if not left or termination.given_up:
            return termination.report(left)
        time.sleep(0.02)
