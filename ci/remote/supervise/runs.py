"""What runs have left on this host: every process of every run, who holds the host, clean-up."""

from __future__ import annotations

import os

from ci.remote.supervise import cgroup
from ci.remote.supervise.control import processes
from ci.remote.supervise.lock import guard, present_holder, try_lock
from ci.remote.supervise.proc import MARKER, members
from ci.remote.supervise.store import remove, state_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

    from ci.remote.supervise.store import State


def show(workspace: str) -> Dict[str, Any]:
    """Give every process of every run, and who holds the host; leaves nothing there."""
    state_dir = state_folder(workspace)
    holder: Optional[State] = None
    if os.path.exists(os.path.join(state_dir, "lock")):
        with guard(state_dir) as lock:
            holder = None if try_lock(lock) else present_holder(state_dir, lock)
            os.close(lock)
    rows = [dict(state, alive=has_life(state)) for state in processes(state_dir)]
    return {"holder": holder, "processes": rows}


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
