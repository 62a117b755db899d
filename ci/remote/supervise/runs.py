"""The runs on this host: their processes, the holder of the host, and clean-up."""

from __future__ import annotations

import os

from ci.remote.names import is_name
from ci.remote.supervise import cgroup
from ci.remote.supervise.control import last_state, processes
from ci.remote.supervise.host import state_folder
from ci.remote.supervise.lock import guard, present_holder, try_lock
from ci.remote.supervise.proc import MARKER, look, members, run_of
from ci.remote.supervise.store import remove

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional, Set

    from ci.remote.supervise.store import State

# In the command line of an agent, whose code stands there in hexadecimal.
AGENT = b"ci.remote.loop.agent".hex().encode()


def show(workspace: str, run: str = "") -> Dict[str, Any]:
    """Return every process of every run, and the holder of the host; read-only.

    Args:
        workspace: the workspace whose state is read.
        run: also look for processes of this run that have no state.
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


def command_lines(run: str) -> List[List[str]]:
    """Return the command line of each living process of a run, by pid."""
    lines = []
    for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc")))):
        if run_of(pid).partition("/")[0] == run:
            try:
                with open("/proc/%d/cmdline" % pid, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:  # it has ended
                continue
            lines.append([word.decode("utf-8", "replace") for word in words])
    return lines


def stray(state_dir: str, run: str, known: Set[str]) -> List[State]:
    """Find processes of a run by their environment or cgroup that have no folder."""
    states: List[State] = []
    pids = map(int, filter(str.isdigit, os.listdir("/proc")))
    ours = [(run_of(pid), pid) for pid in pids]
    # Hosts of a lab may see each other's processes; the supervisor of another host ends its own.
    names = {name for name, pid in ours if name.startswith(run + "/") and not is_supervised(pid)}
    for process in sorted(name.partition("/")[2] for name in names):
        folder = os.path.join(state_dir, run, process)
        if is_name(run) and is_name(process) and folder not in known:
            states.append(dict(last_state(folder), folder=folder))
    return states


def is_supervised(pid: int) -> bool:
    """Return whether an ancestor is a supervisor, which has the command line of its agent."""
    process = look(str(pid))
    while process is not None and process.parent > 1:
        process = look(str(process.parent))
        try:
            with open("/proc/%d/cmdline" % (process.pid if process else 0), "rb") as file:
                if AGENT in file.read():
                    return True
        except OSError:
            return False
    return False


def has_life(state: State) -> bool:
    """Return whether a process or a descendant is known to be running."""
    if state["complete"] or state["state"] != "lost":
        return not state["complete"]
    marker = f"{MARKER}={state['run']}/{state['process']}".encode()
    return bool(members(-1, marker, cgroup.find(state["folder"])))


def forget(workspace: str, run: str) -> Optional[str]:
    """Remove a run's folder; return why it cannot be removed, or None."""
    if not run or "/" in run or run.startswith("."):
        return f"{run!r} is not the name of a run"
    folder = os.path.join(state_folder(workspace), run)
    remove(folder)
    return f"{folder} cannot be removed" if os.path.exists(folder) else None
