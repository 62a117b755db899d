"""Puts a supervisor in the background, and ends its orphans should it be killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import time

from ci.remote.names import INPUTS, is_name
from ci.remote.supervise import cgroup
from ci.remote.supervise.child import LIBC
from ci.remote.supervise.control import (
    ANSWER_S,
    MESSAGE_BYTES,
    dial,
    is_stopped,
    last_state,
    peer_of,
)
from ci.remote.supervise.lock import Refused, acquire, guard
from ci.remote.supervise.proc import KILL_PATIENCE_S, MARKER, TICK_S, look, terminate_tree
from ci.remote.supervise.shared import Shared
from ci.remote.supervise.store import (
    State,
    boot_id,
    now_text,
    remove,
    remove_temporary,
    state_folder,
    temporary_folder,
    write_json,
)
from ci.remote.supervise.supervisor import REST_GRACE_S, Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Optional, Tuple

PR_SET_CHILD_SUBREAPER = 36


def begin(spec: State) -> int:
    """Start a supervisor in the background.

    Returns:
        A pipe that gives one JSON line, once its process runs or cannot; then its end.
    """
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        guard_supervisor(spec, writer)
    os.close(writer)
    os.waitpid(middle, 0)
    return reader


def guard_supervisor(spec: State, answers: int) -> NoReturn:
    """Detach, take the host, then wait on a supervisor, to end its orphans should it be killed."""
    detach(answers)
    try:
        folder, lock = take_host(spec)
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller gets it
        answer(answers, refusal(error))
        os._exit(1)
    try:
        # vLLM leaves sockets and stores in the temporary folder: give it one that goes with it.
        # Not in the workspace: a socket's path may have 107 bytes, which a run's folder can fill.
        spec["tmp"] = temporary_folder(folder)
    except OSError as error:
        remove(folder)
        answer(answers, dict(refusal(error), kind="temporary"))
        os._exit(1)
    shared = Shared()
    supervisor = os.fork()
    if supervisor == 0:
        supervise(spec, folder, lock, answers, shared)
    os.close(answers)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _, status = os.waitpid(supervisor, 0)
    if os.WIFSIGNALED(status):
        end_orphans(folder, os.getpid(), REST_GRACE_S, shared)
    remove(spec["tmp"])
    os._exit(0)


def detach(keep: int) -> None:
    """Let go of everything of the caller's, and become the parent of every orphan below."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in map(int, os.listdir("/proc/self/fd")):
        if handle < 3:  # noqa: PLR2004 - stdin, stdout, stderr
            os.dup2(null, handle)
        elif handle != keep:
            with contextlib.suppress(OSError):
                os.close(handle)
    os.chdir("/")
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def supervise(spec: State, folder: str, lock: int, answers: int, shared: Shared) -> NoReturn:
    """Be the supervisor: one answer, then the loop."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        supervisor = Supervisor(spec, folder, lock, shared)
        supervisor.launch()
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller gets it
        remove(folder)
        answer(answers, refusal(error))
        os._exit(1)
    answer(answers, dict(supervisor.state, folder=folder))
    try:
        supervisor.loop()
    except Exception as error:  # noqa: BLE001 - whatever it is, the controller gets it
        supervisor.fail(error)
    os._exit(0)


def answer(answers: int, value: State) -> None:
    """Tell the waiting `start` what came of it."""
    with contextlib.suppress(OSError):
        os.write(answers, json.dumps(value).encode() + b"\n")
    os.close(answers)


def refusal(error: Exception) -> State:
    """Say why there is no process."""
    if isinstance(error, Refused):
        return error.answer
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return {"kind": "workspace", "error": message}


def take_host(spec: State) -> Tuple[str, int]:
    """Take the host's lock and make the process's folder; returns both."""
    for name in (spec["run"], spec["process"]):
        if not is_name(name) or name == INPUTS:
            raise Refused("spec", f"{name!r} cannot be a folder's name")
    state_dir = state_folder(spec["workspace"])
    folder = os.path.join(state_dir, spec["run"], spec["process"])
    os.makedirs(state_dir, exist_ok=True)
    record = {key: spec[key] for key in ("run", "owner", "process")}
    record.update(pid=os.getpid(), host=os.uname().nodename, since=now_text(), boot_id=boot_id())
    lock = acquire(state_dir, record)
    try:
        os.makedirs(folder, mode=0o700)
    except FileExistsError:
        raise Refused("exists", f"{folder} is there already") from None
    public = {key: value for key, value in spec.items() if key != "env"}
    try:
        write_json(os.path.join(folder, "spec.json"), dict(public, env=sorted(spec["env"])))
    except OSError:
        remove(folder)
        raise
    return folder, lock


def stop(folder: str, grace_s: Optional[float] = None) -> State:
    """End a process and its descent; gives its last state, with survivors where KILL failed."""
    caller = dial(folder, "stop" if grace_s is None else f"stop {grace_s}")
    state = await_stop(caller) if caller is not None else {}
    if not state.get("complete") and not state.get("survivors"):
        await_guardian(folder)
        state = end_orphans(folder, -1, REST_GRACE_S if grace_s is None else grace_s, Shared())
    return state


def await_stop(caller: socket.socket) -> State:
    """Wait until a supervisor has ended its process; it is killed if it does not answer.

    Returns:
        The last state that it sent; empty where it sent none.
    """
    supervisor, state, unanswered = peer_of(caller)[0], State(), 0
    caller.settimeout(ANSWER_S)
    resume(supervisor)
    with contextlib.closing(caller):
        while not state.get("complete") and not state.get("survivors"):
            try:
                text = caller.recv(MESSAGE_BYTES)
                if not text:
                    break
                state, unanswered = json.loads(text), 0
            except socket.timeout:  # Python 3.8 has it beside TimeoutError
                unanswered += 1
                if unanswered > 1:
                    with contextlib.suppress(OSError):
                        os.kill(supervisor, signal.SIGKILL)
                    break
                resume(supervisor)
                with contextlib.suppress(OSError):
                    caller.send(b"ask")
            except OSError:
                break
    return state


def resume(supervisor: int) -> None:
    """Let a supervisor and its guardian go on that a signal has stopped."""
    seen = look(str(supervisor))
    for pid in (supervisor, seen.parent if seen else 0):
        if pid > 1 and is_stopped(pid):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)


def await_guardian(folder: str) -> None:
    """Let the guardian of a killed supervisor do its work: it knows more orphans than we do."""
    until = time.monotonic() + REST_GRACE_S + KILL_PATIENCE_S + TICK_S
    while time.monotonic() < until:
        state = last_state(folder)
        guardian = look(str(state.get("guardian")))
        if state["complete"] or not (guardian and guardian.alive and holds(guardian.pid, folder)):
            return
        resume(guardian.pid)
        time.sleep(0.02)


def holds(pid: int, folder: str) -> bool:
    """Tell whether a process has the host's lock open, as only what supervises here has it."""
    with contextlib.suppress(OSError, Refused):
        with guard(os.path.dirname(os.path.dirname(folder))) as opened:
            lock = os.fstat(opened)
            os.close(opened)
        for handle in os.listdir("/proc/%d/fd" % pid):
            with contextlib.suppress(OSError):
                if os.path.samestat(lock, os.stat("/proc/%d/fd/%s" % (pid, handle))):
                    return True
    return False


def end_orphans(folder: str, root: int, grace_s: float, shared: Shared) -> State:
    """End what a killed supervisor left: the descent of `root`, and what carries the marker."""
    state = last_state(folder)
    if state["complete"]:
        return state
    marker = f"{MARKER}={state['run']}/{state['process']}".encode()
    shared.take_written(state.get("shared"))
    state.update(terminate_tree(root, marker, grace_s, shared, cgroup.find(folder)))
    state.update(complete=not state["survivors"], ended_at=state.get("ended_at") or now_text())
    if state["complete"]:
        remove_temporary(folder)  # the guardian that should have done it may have been killed, too
    with contextlib.suppress(OSError):
        write_json(os.path.join(folder, "state.json"), state)
    return state
