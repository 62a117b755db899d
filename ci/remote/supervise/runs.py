"""What runs have left on this host: every process of every run, who holds the host, clean-up."""

from __future__ import annotations

import os

from ci.remote.names import is_name
from ci.remote.supervise import cgroup
from ci.remote.supervise.control import last_state, processes
from ci.remote.supervise.lock import guard, present_holder, try_lock
from ci.remote.supervise.proc import MARKER, look, members, run_of
from ci.remote.supervise.store import remove, state_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

    from ci.remote.supervise.store import State


def show(workspace: str, run: str = "") -> Dict[str, Any]:
    """Give every process of every run, and who holds the host; leaves nothing there.

    Args:
        workspace: whose state is read.
        run: one whose processes are also looked for where no state tells of them.
    """
    state_dir = state_folder(workspace)
    holder: Optional[State] = None
    if os.path.exists(os.path.join(state_dir, "lock")):
        with guard(state_dir) as lock:
            holder = None if try_lock(lock) else present_holder(state_dir, lock)
            os.close(lock)
    states = list(processes(state_dir))
    states += stray(state_dir, run, {state["folder"] for state in states}) if run else []
    rows = [dict(state, alive=has_life(state)) for state in states]
    return {"holder": holder, "processes": rows}


def stray(state_dir: str, run: str, known: Set[str]) -> List[State]:
    """Find what runs of a run, by its environment or its cgroup, without a folder of its own."""
    found: List[State] = []
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    ours = [(run_of(pid), pid) for pid in pids]
    # Hosts of a lab may share their processes: another one's supervisor ends its own.
    names = {name for name, pid in ours if name.startswith(run + "/") and not is_supervised(pid)}
    for process in sorted(name.partition("/")[2] for name in names):
        folder = os.path.join(state_dir, run, process)
        if is_name(run) and is_name(process) and folder not in known:
            found.append(dict(last_state(folder), folder=folder))
    return found


def is_supervised(pid: int) -> bool:
    """Tell whether a supervisor is above a process: it has the command line of its agent."""
    seen = look(str(pid))
    while seen is not None and seen.parent > 1:
        seen = look(str(seen.parent))
        try:
            with open("/proc/%d/cmdline" % (seen.pid if seen else 0), "rb") as file:
                if b"ci.remote.loop.agent" in file.read():
                    return True
        except OSError:
            return False
    return False


def has_life(state: State) -> bool:
    """Tell whether anything of a process's descent is known to be running."""
    if state["complete"] or state["state"] != "lost":
        return not state["complete"]
    marker = f"{MARKER}={state['run']}/{state['process']}".encode()
    return bool(members(-1, marker, cgroup.find(state["folder"])))


def forget(workspace: str, run: str) -> Optional[str]:
    """Remove a run's folder; says why where that cannot be done."""
    if not run or "/" in run or run.startswith("."):
        return f"{run!r} names no run"
    folder = os.path.join(state_folder(workspace), run)
    remove(folder)
    return f"{folder} cannot be removed" if os.path.exists(folder) else None
