"""Let only one process make a path in a workspace, which hosts may share on NFS.

Also runs on hosts: stdlib only, Python 3.8 and later. No flock: NFS may lack it, or it may hold on
one host only. A claim is a file that only one process can make (O_EXCL), with a number; its maker
touches it, and one that is not touched any more has lost it. Only the next number may follow then.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import random
import re
import socket
import threading
import time
from typing import Any, Callable, Iterator

BEAT_S = 5.0
POLL_S = 0.5
STALE_S = 90.0  # a loaded host may miss some beats; NFS shows another host's within seconds
SUFFIX = ".maker-"


@contextlib.contextmanager
def sole_maker(path: str, say: Callable[[str], None]) -> Iterator[None]:
    """Wait until no other process makes a path, and claim it inside the context.

    Args:
        path: what is made; whoever had to wait looks first whether it is there now.
        say: gets a line about whom it waits for.
    """
    claim = _await_claim(path, say)
    inode, ended = os.stat(claim).st_ino, threading.Event()
    beat = threading.Thread(target=_beat, args=(claim, inode, ended, say), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        _remove(claim)


def _beat(claim: str, inode: int, ended: threading.Event, say: Callable[[str], None]) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):  # a disk that is full or away for a moment
            if _inode(claim) == inode:
                os.utime(claim)
            else:  # this process was suspended for so long that another one took over
                say("not made: another process took over, as this one gave no sign for long")
                os._exit(1)


def _await_claim(path: str, say: Callable[[str], None]) -> str:
    seen: dict[str, tuple[int, float]] = {}  # claim → when it was touched, and when we saw that
    announced = ""
    while True:
        found = _claims(path)
        fresh = [claim for claim in found if not _is_left(claim, seen)]
        if not fresh:
            number = 1 + max((int(claim.rpartition("-")[2]) for claim in found), default=-1)
            claim = "%s%s%d" % (path, SUFFIX, number)
            if _make(claim):
                if set(_claims(path)) <= {claim, *found}:
                    for old in found:
                        _remove(old)
                    return claim
                _remove(claim)  # one that was not left appeared meanwhile: try again
                time.sleep(POLL_S * random.random())  # noqa: S311 - no secret
            continue
        maker = _read(fresh[-1])
        who = "%s (pid %s)" % (maker.get("host", "another host"), maker.get("pid", "?"))
        if maker and who != announced:
            say("%s is making %s since %s: waiting for it" % (who, path, maker.get("since", "?")))
            announced = who
        time.sleep(POLL_S)


def _claims(path: str) -> list[str]:
    folder, name = os.path.split(path)
    pattern = re.compile(re.escape(name + SUFFIX) + r"\d{1,9}")
    found = [one for one in os.listdir(folder) if pattern.fullmatch(one)]
    found.sort(key=lambda one: int(one.rpartition("-")[2]))
    return [os.path.join(folder, one) for one in found]


def _make(claim: str) -> bool:
    try:
        handle = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        json.dump({"host": socket.gethostname(), "since": since, **_self()}, file)
    return True


def _is_left(claim: str, seen: dict[str, tuple[int, float]]) -> bool:
    """Return whether a claim's maker has died: at once on this host, else after some silence."""
    maker = _read(claim)
    here = _self()
    if all(maker.get(key) == here[key] for key in ("boot", "pids")):
        return _began(maker.get("pid")) != maker.get("began")
    try:
        with open(claim, "rb") as file:  # opening asks an NFS server what is new
            touched = os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return False
    if claim not in seen or seen[claim][0] != touched:
        seen[claim] = (touched, time.monotonic())
    return time.monotonic() - seen[claim][1] > STALE_S


def _self() -> dict[str, Any]:
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    pids = os.readlink("/proc/self/ns/pid")  # hosts and containers with other pids
    return {"boot": boot, "pids": pids, "pid": os.getpid(), "began": _began(os.getpid())}


def _began(pid: object) -> str:
    """Return when a process began, which tells it from a later one with its pid; empty if gone."""
    try:
        with open("/proc/%d/stat" % int(str(pid)), "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
    except (OSError, ValueError):
        return ""


def _read(claim: str) -> dict[str, Any]:
    try:
        with open(claim, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):  # gone, or not written yet
        return {}
    return value if isinstance(value, dict) else {}


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return -1


def _remove(claim: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(claim)


def used_elsewhere(path: str, state: str, own: str) -> str:
    """Say which run of another host with this workspace runs a program below a path.

    A run of this host does not: the host belongs to the run that makes the path again.

    Args:
        path: what will be made again.
        state: the folder of all hosts' runs.
        own: a folder of this run in it.

    Returns:
        The run, and what to do; empty where there is none.
    """
    here = os.path.relpath(own, state).split(os.sep)[0]
    for folder in glob.glob(os.path.join(glob.escape(state), "*", "*", "*")):
        host, run = folder.split(os.sep)[-3:-1]
        argv = read_key(os.path.join(folder, "spec.json"), "argv")
        running = read_key(os.path.join(folder, "state.json"), "complete") is False
        if host != here and running and argv and str(argv[0]).startswith(path + os.sep):
            return (
                "run %s on host %s uses %s, which must be made again. Wait until it ends, or end "
                "it with `inv down --run %s`; if that host is no more, remove %s."
                % (run, host, path, run, os.path.dirname(folder))
            )
    return ""


def read_key(path: str, key: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a value of a JSON object in a file; None where there is none."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value.get(key) if isinstance(value, dict) else None
