"""The host's lock: all supervisors of a single run hold it together.

So do those of runs that are beside each other on the host: nights of one suite that need only some
of its devices.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat

from ci.remote.lean import json, suppress
from ci.remote.supervise.control import processes
from ci.remote.supervise.store import read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import List

    from ci.remote.supervise.store import State


LOCAL = "/tmp"  # noqa: S108 - the owner of the folder there is checked


class Refused(Exception):  # noqa: N818 - an answer to `start`, not an error
    """A start that is refused; `answer` is sent to the controller."""

    def __init__(self, kind: str, message: str, **more: object) -> None:
        super().__init__(message)
        self.answer = dict(more, error=message, kind=kind)


FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
# Errors of file systems without flock, such as Lustre and some mounts of NFS.
NO_FLOCK = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class guard:  # noqa: N801 - called in a `with`, as functions of contextlib are
    """Opens the lock while no other process acquires it; gives its descriptor.

    Only this host uses the files there, so NFS may keep locks to each host (nolock, local_lock).
    """

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir

    def __enter__(self) -> int:
        folder = self._state_dir
        try:
            self._handle = flocked(folder)
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
            folder = local_folder(self._state_dir)
            self._handle = flocked(folder)
        try:
            return os.open(os.path.join(folder, "lock"), FLAGS, 0o600)
        except BaseException:
            os.close(self._handle)
            raise

    def __exit__(self, *_: object) -> None:
        os.close(self._handle)


def flocked(folder: str) -> int:
    """Open and lock the guard file of a folder; wait for other processes."""
    handle = os.open(os.path.join(folder, "lock.guard"), FLAGS, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError:
        os.close(handle)
        raise
    return handle


def local_folder(state_dir: str) -> str:
    """Return a folder on a local disk for the lock of a state folder without flock.

    Not in /run/user or /dev/shm: systemd clears those when the user's last session ends.
    """
    above = os.path.join(LOCAL, "lamplighter-%d" % os.geteuid())
    status = os.stat(state_dir)
    folder = os.path.join(above, "lock-%d-%d" % (status.st_dev, status.st_ino))
    for each in (above, folder):
        with suppress(FileExistsError):
            os.mkdir(each, 0o700)
        made = os.lstat(each)
        if not stat.S_ISDIR(made.st_mode) or made.st_uid != os.geteuid():
            raise Refused(
                "workspace",
                "%s has no flock, and %s, where the lock would be, belongs to user %d: remove it"
                % (state_dir, each, made.st_uid),
            )
    return folder


def try_lock(lock: int) -> bool:
    """Take the lock exclusively; return False if another process has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def acquire(state_dir: str, record: State) -> int:
    """Lock the host for a run, or share the lock of the same run; raise Refused for another run."""
    with guard(state_dir) as lock:
        if try_lock(lock):
            os.ftruncate(lock, 0)
            os.pwrite(lock, json.dumps(record).encode(), 0)
        else:
            holder = present_holder(state_dir, lock)
            if not may_share(holder, record):
                os.close(lock)
                raise Refused("busy", f"the host is held by {holder.get('run')}", holder=holder)
        fcntl.flock(lock, fcntl.LOCK_SH)
        return lock


def may_share(holder: State, record: State) -> bool:
    """Return whether a run may use the host together with the one that holds it."""
    if holder.get("run") == record["run"]:
        return True
    return bool(record.get("beside")) and holder.get("beside") == record["beside"]


def present_holder(state_dir: str, lock: int) -> State:
    """Read the holder of the lock, with a process of its run that is still alive.

    Of runs beside each other the first one may have ended: then it is another one that lives.
    """
    holder = read_json("/proc/self/fd/%d" % lock)
    others: List[State] = []
    for state in processes(state_dir):
        if state["complete"] or state["state"] == "lost":
            continue
        now = dict(holder, process=state["process"], pid=state["supervisor"])
        if state["run"] == holder.get("run"):
            return now
        others.append(dict(now, run=state["run"]))
    return others[0] if holder.get("beside") and others else holder
