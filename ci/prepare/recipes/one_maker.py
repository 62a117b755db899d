"""Let only one process make a path in a workspace, which hosts may share on NFS.

Also runs on hosts: stdlib only, Python 3.8 and later. No flock: NFS may lack it, or it may hold on
one host only. A claim is a file that only one process can make (O_EXCL), with a number; its maker
touches it, and a claim that is no longer touched is lost. Only the next number may follow then.
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
        path: the path to make; after a wait it may exist already.
        say: called with a line about the process that it waits for.
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


def make_once(
    spec: dict[str, Any],
    made: Callable[[dict[str, Any]], bool],
    make: Callable[[dict[str, Any]], None],
    say: Callable[[str], None],
) -> None:
    """Make the path of a spec, unless it is complete; wait while another process makes it."""
    os.makedirs(os.path.dirname(spec["path"]), exist_ok=True)
    with sole_maker(spec["path"], say):
        if made(spec):
            say("%s is already complete" % spec["path"])
        else:
            make(spec)


def _beat(claim: str, inode: int, ended: threading.Event, say: Callable[[str], None]) -> None:
    while not ended.wait(BEAT_S):
        with contextlib.suppress(OSError):  # a disk that is full or away for a moment
            if _inode(claim) == inode:
                os.utime(claim)
            else:  # this process was suspended for so long that another one took over
                say("not made: another process took over while this one was suspended")
                os._exit(1)


def _await_claim(path: str, say: Callable[[str], None]) -> str:
    touches: dict[str, tuple[int, float]] = {}  # claim → its last touch, and when it was read
    announced = ""
    while True:
        claims = _claims(path)
        fresh = [claim for claim in claims if not _is_left(claim, touches)]
        if not fresh:
            number = 1 + max((int(claim.rpartition("-")[2]) for claim in claims), default=-1)
            claim = "%s%s%d" % (path, SUFFIX, number)
            if _make(claim):
                if set(_claims(path)) <= {claim, *claims}:
                    for old in claims:
                        _remove(old)
                    return claim
                _remove(claim)  # another claim appeared meanwhile: try again
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
    claims = [entry for entry in os.listdir(folder) if pattern.fullmatch(entry)]
    claims.sort(key=lambda claim: int(claim.rpartition("-")[2]))
    return [os.path.join(folder, claim) for claim in claims]


def _make(claim: str) -> bool:
    try:
        handle = os.open(claim, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        return False
    with os.fdopen(handle, "w") as file:
        since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        json.dump({"host": socket.gethostname(), "since": since, **_self()}, file)
    return True


def _is_left(claim: str, touches: dict[str, tuple[int, float]]) -> bool:
    """Return whether a claim's maker has ended: known at once on this host, else after STALE_S."""
    maker = _read(claim)
    here = _self()
    if all(maker.get(key) == here[key] for key in ("boot", "pids")):
        return _began(maker.get("pid")) != maker.get("began")
    try:
        with open(claim, "rb") as file:  # opening asks an NFS server what is new
            touched = os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return False
    if claim not in touches or touches[claim][0] != touched:
        touches[claim] = (touched, time.monotonic())
    return time.monotonic() - touches[claim][1] > STALE_S


def _self() -> dict[str, Any]:
    with open("/proc/sys/kernel/random/boot_id") as file:
        boot = file.read().strip()
    pids = os.readlink("/proc/self/ns/pid")  # hosts and containers with other pids
    return {"boot": boot, "pids": pids, "pid": os.getpid(), "began": _began(os.getpid())}


def _began(pid: object) -> str:
    """Return the start time of a process, as its pid may be used again; empty if it has ended."""
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
    """Describe a run of another host with this workspace that uses a program below a path.

    On this host no other run does, because the host belongs to the run that makes the path again.

    Args:
        path: the path to make again.
        state: the folder of all hosts' runs.
        own: a folder of this run in it.

    Returns:
        The run and the next step; empty if there is none.
    """
    here = os.path.relpath(own, state).split(os.sep)[0]
    for folder in glob.glob(os.path.join(glob.escape(state), "*", "*", "*")):
        host, run = folder.split(os.sep)[-3:-1]
        argv = read_key(os.path.join(folder, "spec.json"), "argv")
        running = read_key(os.path.join(folder, "state.json"), "complete") is False
        if host != here and running and argv and str(argv[0]).startswith(path + os.sep):
            return (
                "run %s on host %s uses %s, which must be made again. Wait until it ends, or end "
                "it with `inv down --run %s`; if that host no longer exists, remove %s."
                % (run, host, path, run, os.path.dirname(folder))
            )
    return ""


def read_key(path: str, key: str) -> Any:  # noqa: ANN401 - any JSON
    """Return a value of a JSON object in a file; None if it has none."""
    try:
        with open(path, encoding="utf-8") as file:
            value = json.load(file)
    except (OSError, ValueError):
        return None
    return value.get(key) if isinstance(value, dict) else None
