"""The host's lock: it belongs to one run, and all of that run's supervisors hold it together."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os

from ci.remote.supervise.control import processes
from ci.remote.supervise.store import read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

    from ci.remote.supervise.store import State


class Refused(Exception):  # noqa: N818 - an answer to `start`, not a fault
    """A start that cannot be; `answer` is printed for the controller."""

    def __init__(self, kind: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = dict(more, error=message, kind=kind)


@contextlib.contextmanager
def guard(state_dir: str) -> Iterator[int]:
    """Open the lock while no other process acquires it; yields its descriptor."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    handle = os.open(os.path.join(state_dir, "lock.guard"), flags, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield os.open(os.path.join(state_dir, "lock"), flags, 0o600)
    finally:
        os.close(handle)


def try_lock(lock: int) -> bool:
    """Take the lock alone; False when another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def acquire(state_dir: str, record: State) -> int:
    """Take the host for a run, or join the run that has it; refuse when that is another."""
    with guard(state_dir) as lock:
        if try_lock(lock):
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(record).encode(), 0)
        else:
            holder = present_holder(state_dir)
            if holder.get("run") != record["run"]:
                os.close(lock)
                raise Refused("busy", f"the host is held by {holder.get('run')}", holder=holder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock


def present_holder(state_dir: str) -> State:
    """Read who took the lock, naming a process of that run that still lives."""
    holder = read_json(os.path.join(state_dir, "lock"))
    for state in processes(state_dir):
        if state["run"] == holder.get("run") and not state["complete"] and state["state"] != "lost":
            return dict(holder, process=state["process"], pid=state["supervisor"])
    return holder
