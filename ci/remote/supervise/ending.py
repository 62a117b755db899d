"""End a process for a controller, in any state of its supervisor and guardian."""

from __future__ import annotations

import os
import time

from ci.remote.lean import json, signal, socket, suppress
from ci.remote.supervise import cgroup
from ci.remote.supervise.control import (
    ANSWER_S,
    MESSAGE_BYTES,
    dial,
    is_stopped,
    last_state,
    peer_of,
)
from ci.remote.supervise.lock import Refused, guard
from ci.remote.supervise.proc import (
    KILL_PATIENCE_S,
    MARKER,
    REST_GRACE_S,
    TICK_S,
    look,
    terminate_tree,
)
from ci.remote.supervise.shared import Shared
from ci.remote.supervise.store import State, now_text, remove_temporary, write_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


def stop(folder: str, grace_s: Optional[float] = None) -> State:
    """End a process and its descendants; return its last state, with survivors if KILL failed."""
    caller = dial(folder, "stop" if grace_s is None else f"stop {grace_s}")
    state = await_stop(caller) if caller is not None else {}
    if not state.get("complete") and not state.get("survivors"):
        await_guardian(folder)
        state = end_orphans(folder, -1, REST_GRACE_S if grace_s is None else grace_s, Shared())
    return state


def await_stop(caller: socket.socket) -> State:
    """Wait until a supervisor has ended its process; kill the supervisor if it does not answer.

    Returns:
        The last state that it sent; empty without any.
    """
    supervisor, state, unanswered = peer_of(caller)[0], State(), 0
    caller.settimeout(ANSWER_S)
    resume(supervisor)
    try:
        while not state.get("complete") and not state.get("survivors"):
            try:
                text = caller.recv(MESSAGE_BYTES)
                if not text:
                    break
                state, unanswered = json.loads(text), 0
            except socket.timeout:  # Python 3.8 has it beside TimeoutError
                unanswered += 1
                if unanswered > 1:
                    with suppress(OSError):
                        os.kill(supervisor, signal.SIGKILL)
                    break
                resume(supervisor)
                with suppress(OSError):
                    caller.send(b"ask")
            except OSError:
                break
    finally:
        caller.close()
    return state


def resume(supervisor: int) -> None:
    """Continue a supervisor and its guardian if a signal has stopped them."""
    process = look(str(supervisor))
    for pid in (supervisor, process.parent if process else 0):
        if pid > 1 and is_stopped(pid):
            with suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def await_guardian(folder: str) -> None:
    """Wait for the guardian of a killed supervisor: only it can identify all orphans."""
    until = time.monotonic() + REST_GRACE_S + KILL_PATIENCE_S + TICK_S
    while time.monotonic() < until:
        state = last_state(folder)
        guardian = look(str(state.get("guardian")))
        if state["complete"] or not (guardian and guardian.alive and holds(guardian.pid, folder)):
            return
        resume(guardian.pid)
        time.sleep(0.02)


def holds(pid: int, folder: str) -> bool:
    """Return whether a process has the host's lock open, as only supervisors and guardians have."""
    with suppress(OSError, Refused):
        with guard(os.path.dirname(os.path.dirname(folder))) as opened:
            lock = os.fstat(opened)
            os.close(opened)
        for handle in os.listdir("/proc/%d/fd" % pid):
            with suppress(OSError):
                if os.path.samestat(lock, os.stat("/proc/%d/fd/%s" % (pid, handle))):
                    return True
    return False


def end_orphans(folder: str, root: int, grace_s: float, shared: Shared) -> State:
    """End the orphans of a killed supervisor: descendants of `root`, and those with the marker."""
    state = last_state(folder)
    if state["complete"]:
        return state
    marker = f"{MARKER}={state['run']}/{state['process']}".encode()
    shared.take_written(state.get("shared"))
    state.update(terminate_tree(root, marker, grace_s, shared, cgroup.find(folder)))
    state.update(complete=not state["survivors"], ended_at=state.get("ended_at") or now_text())
    if state["complete"]:
        remove_temporary(folder)  # the guardian may have been killed too
    with suppress(OSError):
        write_json(os.path.join(folder, "state.json"), state)
    return state
