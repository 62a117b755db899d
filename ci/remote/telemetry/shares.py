"""Whose CPU time it was: that of this run, or of processes that have nothing to do with it.

Counts the processes that /proc shows here: on a host of its own all of them, in a container those
of the container. A process belongs to the run if it has the run's marker in its environment or its
cgroup, or if its parent belongs to it; once a member, always one. Agents, supervisors, and the
controller with its descendants, if it runs on this host, are neither: they do the measuring.
"""

import os
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Set, Tuple

from ci.remote.names import LEASE, TELEMETRY
from ci.remote.supervise.proc import run_of
from ci.remote.supervise.runs import AGENT
from ci.remote.supervise.store import boot_id
from ci.remote.telemetry.counters import TICKS_PER_S, read
from ci.remote.telemetry.rates import rounded

OWN, OURS, CONTROLLER, FOREIGN = "own", "ours", "controller", "foreign"
KERNEL_THREAD = 0x00200000  # PF_KTHREAD of Linux include/linux/sched.h, in `flags` of proc(5)
# Kernel threads are looked at again after so many scans: one may have ended, and its pid be used.
KERNEL_SCANS = 30
MOST_NAMED = 3
LEAST_NAMED_S = 0.05
# Processes of the run that use no CPU: their cores are no choice of the servers.
IDLE = (LEASE, TELEMETRY)


class Seen(NamedTuple):
    """A process: `own_ticks` of itself, `child_ticks` of children that it has waited for."""

    pid: int
    parent: int
    began: int
    name: str
    own_ticks: int
    child_ticks: int


Key = Tuple[int, int]  # pid and start: a pid is used again
Scan = Dict[Key, Seen]


class Shares:
    """The CPU time of the run and of others since the last scan."""

    def __init__(self, run: str, controller: Optional[Tuple[str, int, int]] = None) -> None:
        """Begin; the first scan has no differences.

        Args:
            run: the run's id.
            controller: boot id, pid and start of the controller's process, which may be here.
        """
        self._run = run
        here = controller is not None and controller[0] == boot_id()
        self._controller = controller[1:] if controller is not None and here else None
        self._before: Scan = {}
        self._kinds: Dict[Key, str] = {}
        self._cores: Dict[Key, Set[int]] = {}
        self._keys: Dict[int, Key] = {}
        self._kernel: Set[str] = set()
        self._scans = 0

    def take(self, covers_s: float) -> Optional[Dict[str, Any]]:
        """Scan all processes; see `Source`.

        Returns:
            `covers_s`, and `own_s`, `ours_s` and `foreign_s`: CPU seconds since the last scan.
            `cores`: how many cores the run may use. `foreign`: the busiest foreign processes.
            Foreign processes that may use none of the run's cores are not counted.
        """
        before, seen = self._before, self._scan()
        self._before = seen
        self._classify(seen, before)
        if not before:
            return None
        cores = self._cores_of_run(seen)
        foreign = [self._foreign(scan, cores, before) for scan in (before, seen)]
        ours = [_alone(self._of((OURS, CONTROLLER), scan)) for scan in (before, seen)]
        entry = {
            "covers_s": rounded(covers_s),
            "own_s": _seconds(self._of((OWN,), before), self._of((OWN,), seen)),
            "ours_s": _seconds(*ours),
            "foreign_s": _seconds(*foreign),
            "cores": len(cores),
            "foreign": _busiest(*foreign),
        }
        self._forget(seen)
        return entry

    def kind_of(self, pid: int) -> Optional[str]:
        """Return the kind of a process; None for a process that is not shown here."""
        key = self._keys.get(pid)
        return self._kinds.get(key) if key is not None else None

    def _scan(self) -> Scan:
        if self._scans % KERNEL_SCANS == 0:
            self._kernel.clear()
        self._scans += 1
        seen: Scan = {}
        for pid in os.listdir("/proc"):
            if not pid.isdigit() or pid in self._kernel:
                continue
            try:
                item = _parse(read("/proc/" + pid + "/stat"))
            except (OSError, ValueError, IndexError):  # it has ended
                continue
            if item is None:
                self._kernel.add(pid)
            else:
                seen[item.pid, item.began] = item
        self._keys = {key[0]: key for key in seen}
        return seen

    def _classify(self, seen: Scan, before: Scan) -> None:
        """Decide for each process that is new, or that has become another program."""
        for key in sorted(seen, key=lambda key: (key[1], key[0])):  # parents before children
            known = self._kinds.get(key)
            renamed = key in before and before[key].name != seen[key].name
            if known is None or (renamed and known != OWN):
                self._kinds[key] = self._kind(seen[key])

    def _kind(self, item: Seen) -> str:
        above = self._kinds.get(self._keys.get(item.parent, (0, 0)))
        if above == OWN or run_of(item.pid).partition("/")[0] == self._run:
            return OWN
        if above == CONTROLLER or (item.pid, item.began) == self._controller:
            return CONTROLLER
        return OURS if _is_agent(item.pid) else FOREIGN

    def _cores_of_run(self, seen: Scan) -> Set[int]:
        """Return the cores that servers and tools may use; those of this process without any."""
        cores: Set[int] = set()
        for key in self._of((OWN,), seen):
            if key not in self._cores:
                idle = run_of(key[0]).partition("/")[2] in IDLE
                self._cores[key] = set() if idle else _affinity(key[0])
            cores |= self._cores[key]
        return cores or _affinity(0)

    def _foreign(self, scan: Scan, cores: Set[int], before: Scan) -> Scan:
        """Return the foreign processes of a scan that may use one of these cores.

        Some are above processes of the run, such as process 1, which waits for supervisors. What
        they waited for is left out: it is the run's own.
        """
        above = self._above(before)
        chosen: Scan = {}
        for key, item in self._of((FOREIGN,), scan).items():
            if key not in self._cores:
                self._cores[key] = _affinity(key[0])
            if not self._cores[key] or self._cores[key] & cores:
                chosen[key] = item._replace(child_ticks=0) if key in above else item
        return chosen

    def _above(self, scan: Scan) -> Set[Key]:
        """Return all ancestors of processes that are not foreign."""
        above: Set[Key] = set()
        for item in self._of((OWN, OURS, CONTROLLER), scan).values():
            key = self._keys.get(item.parent)
            while key is not None and key not in above:
                above.add(key)
                parent = scan.get(key)
                key = self._keys.get(parent.parent) if parent else None
        return above

    def _of(self, kinds: Sequence[str], scan: Scan) -> Scan:
        return {key: item for key, item in scan.items() if self._kinds.get(key) in kinds}

    def _forget(self, seen: Scan) -> None:
        self._kinds = {key: kind for key, kind in self._kinds.items() if key in seen}
        self._cores = {key: cores for key, cores in self._cores.items() if key in seen}


def _seconds(before: Scan, after: Scan) -> float:
    """Return the CPU time that processes used between two scans.

    A process that ended between them hands all of its time to the parent that waits for it, so the
    sum over all, children included, has grown by what was used. Where no parent waits, the sum
    loses what that process had used before; then at least the growth of the others counts.
    """
    grown = sum(item.own_ticks + item.child_ticks for item in after.values())
    grown -= sum(item.own_ticks + item.child_ticks for item in before.values())
    alone = sum(_growth(key, before, after) for key in after)
    return rounded(max(grown, alone, 0) / TICKS_PER_S)


def _growth(key: Key, before: Scan, after: Scan) -> int:
    return after[key].own_ticks - (before[key].own_ticks if key in before else 0)


def _alone(scan: Scan) -> Scan:
    """Leave out what processes waited for."""
    return {key: item._replace(child_ticks=0) for key, item in scan.items()}


def _busiest(before: Scan, after: Scan) -> List[Dict[str, Any]]:
    used = [(_growth(key, before, after) / TICKS_PER_S, item) for key, item in after.items()]
    used.sort(key=lambda pair: -pair[0])
    return [
        {"pid": item.pid, "name": item.name, "cpu_s": rounded(seconds)}
        for seconds, item in used[:MOST_NAMED]
        if seconds >= LEAST_NAMED_S
    ]


def _parse(raw: bytes) -> Optional[Seen]:
    """Read /proc/<pid>/stat; None for a thread of the kernel. Fields as in proc(5)."""
    pid, _, rest = raw.partition(b" (")
    name, _, rest = rest.rpartition(b") ")
    fields = rest.split()
    if int(fields[6]) & KERNEL_THREAD:
        return None
    own, child = int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14])
    return Seen(
        int(pid), int(fields[1]), int(fields[19]), name.decode("utf-8", "replace"), own, child
    )


def _affinity(pid: int) -> Set[int]:
    """Return the cores that a process may use; empty if it has ended."""
    try:
        return os.sched_getaffinity(pid)
    except OSError:
        return set()


def _is_agent(pid: int) -> bool:
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as file:
            return AGENT in file.read()
    except OSError:
        return False
