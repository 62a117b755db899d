"""Start a supervisor in the background, and end its orphans if it is killed."""

from __future__ import annotations

import os
import time

from ci.remote.lean import json, signal, suppress
from ci.remote.names import INPUTS, is_name
from ci.remote.supervise import cgroup
from ci.remote.supervise.child import LIBC
from ci.remote.supervise.ending import end_orphans
from ci.remote.supervise.host import make_state_folder, state_folder
from ci.remote.supervise.lock import Refused, acquire
from ci.remote.supervise.proc import REST_GRACE_S
from ci.remote.supervise.shared import Shared
from ci.remote.supervise.store import (
    State,
    boot_id,
    now_text,
    read_json,
    remove,
    temporary_folder,
    write_json,
)
from ci.remote.supervise.supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, Tuple


PR_SET_CHILD_SUBREAPER = 36
REPEATED_S = 20.0


def begin(spec: State) -> int:
    """Start a supervisor in the background.

    Returns:
        A pipe with a JSON line, written when the process runs or cannot run; then its end.
    """
    reader, writer = os.pipe()
    guard(spec, writer)
    return reader


def guard(spec: State, writer: int) -> None:
    """Start a supervisor in the background; its answer goes to `writer`, which is closed here."""
    middle = os.fork()
    if middle == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        guard_supervisor(spec, writer)
    os.close(writer)
    os.waitpid(middle, 0)


def guard_supervisor(spec: State, answers: int) -> NoReturn:
    """Lock the host, start a supervisor, and end its orphans if it is killed; runs in the child."""
    detach(answers)
    try:
        started = started_before(spec)
        if started:
            answer(answers, started)
            os._exit(0)
        folder, lock = take_host(spec)
    except Exception as error:  # noqa: BLE001 - the controller gets every error
        answer(answers, refusal(error))
        os._exit(1)
    try:
        # vLLM leaves sockets and stores in the temporary folder, so each process has its own, which
        # is removed with it. Not in the workspace: a socket's path has at most 107 bytes.
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


def started_before(spec: State) -> State:
    """Return the state of a process whose start is asked for again, as its answer was lost.

    The first request may still be at work: then this waits until its process runs, or cannot run
    and has no folder any more.

    Returns:
        Empty if this start was not asked for before.
    """
    token = spec.get("token")
    if not token or not is_name(spec["run"]) or not is_name(spec["process"]):
        return State()
    folder = os.path.join(state_folder(spec["workspace"]), spec["run"], spec["process"])
    until = time.monotonic() + REPEATED_S
    while os.path.isdir(folder) and time.monotonic() < until:
        first = read_json(os.path.join(folder, "spec.json"))
        if first and first.get("token") != token:
            return State()  # another process with this name, which `take_host` refuses
        state = read_json(os.path.join(folder, "state.json"))
        if first and "pid" in state:
            return dict(state, folder=folder)
        time.sleep(0.02)
    return State()


def detach(keep: int) -> None:
    """Close inherited descriptors, and become the parent of all orphans below."""
    null = os.open(os.devnull, os.O_RDWR)
    for handle in map(int, os.listdir("/proc/self/fd")):
        if handle < 3:  # noqa: PLR2004 - stdin, stdout, stderr
            os.dup2(null, handle)
        elif handle != keep:
            with suppress(OSError):
                os.close(handle)
    os.chdir("/")
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def supervise(spec: State, folder: str, lock: int, answers: int, shared: Shared) -> NoReturn:
    """Run the supervisor: report the start, then loop; runs in the child."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        supervisor = Supervisor(spec, folder, lock, shared)
        supervisor.launch()
    except Exception as error:  # noqa: BLE001 - the controller gets every error
        remove(folder)
        cgroup.remove(cgroup.find(folder))
        answer(answers, refusal(error))
        os._exit(1)
    answer(answers, dict(supervisor.state, folder=folder))
    try:
        supervisor.loop()
    except Exception as error:  # noqa: BLE001 - the controller gets every error
        supervisor.fail(error)
    os._exit(0)


def answer(answers: int, value: State) -> None:
    """Send the result of the start to the agent."""
    with suppress(OSError):
        os.write(answers, json.dumps(value).encode() + b"\n")
    os.close(answers)


def refusal(error: Exception) -> State:
    """Return the reason of a failed start."""
    if isinstance(error, Refused):
        return error.answer
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and error.strerror:
        message = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return {"kind": "workspace", "error": message}


def take_host(spec: State) -> Tuple[str, int]:
    """Take the host's lock and make the process's folder; return folder and lock."""
    for name in (spec["run"], spec["process"]):
        if not is_name(name) or name == INPUTS:
            raise Refused("spec", f"{name!r} cannot be a folder's name")
    state_dir = make_state_folder(spec["workspace"])
    folder = os.path.join(state_dir, spec["run"], spec["process"])
    record = {key: spec[key] for key in ("run", "owner", "process", "beside")}
    record.update(pid=os.getpid(), host=os.uname().nodename, since=now_text(), boot_id=boot_id())
    lock = acquire(state_dir, record)
    try:
        os.makedirs(folder, mode=0o700)
    except FileExistsError:
        raise Refused("exists", f"{folder} already exists") from None
    public = {key: value for key, value in spec.items() if key != "env"}
    try:
        write_json(os.path.join(folder, "spec.json"), dict(public, env=sorted(spec["env"])))
    except OSError:
        remove(folder)
        raise
    return folder, lock
