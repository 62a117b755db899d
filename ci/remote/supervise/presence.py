"""How runs on one host see each other, whatever their workspace and user.

A run listens on a socket in the kernel's abstract namespace, see unix(7): it is not a file, every
user may list it, and it is gone with the process that holds it. Any user may take any name there,
so only the kernel is believed: it says which user and which process listen.
"""

from __future__ import annotations

import contextlib
import os
import socket

from ci.remote.names import is_name
from ci.remote.supervise.control import peer_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

MOST_BYTES = 108  # of a socket's name
MARK = b"lamplighter/"
MARKER = b"LAMPLIGHTER_RUN="  # as `proc.py` has it, which an agent imports later


def announce(run: str, owner: str) -> Optional[socket.socket]:
    """Announce a run while the returned socket is open; None when it is announced already."""
    words = "%s/%s" % (run, "".join(owner.split()))
    announcement = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        announcement.bind((b"\0" + MARK + words.encode())[:MOST_BYTES])
        announcement.listen(64)
        announcement.settimeout(0)
    except OSError:
        announcement.close()
        return None
    return announcement


def hang_up(announcement: socket.socket) -> None:
    """Let go of whoever asked the kernel about this socket."""
    with contextlib.suppress(OSError):
        announcement.accept()[0].close()


def present_runs() -> List[Dict[str, Any]]:
    """List the runs that are announced on this host.

    Returns:
        Of each: `run` and `owner` as announced, `uid` and `pid` as the kernel has them, and
        `proven`: whether a process of the run is below this pid; null where that cannot be seen.
        A socket on which nobody listens announces nothing.
    """
    with open("/proc/net/unix", "rb") as file:
        text = file.read()
    names = {piece.split(b"\n", 1)[0] for piece in text.split(b"@" + MARK)[1:]}
    found: List[Dict[str, Any]] = []
    for name in sorted(names):
        run, _, owner = name.decode("utf-8", "replace").partition("/")
        listener = _listener(b"\0" + MARK + name) if is_name(run) else None
        if listener is not None:
            found.append(dict(listener, run=run, owner=owner))
            found[-1]["proven"] = _proven(listener["pid"], run.encode())
    return found


def _listener(address: bytes) -> Optional[Dict[str, Any]]:
    """Ask the kernel who listens; None where nobody does."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        caller.settimeout(0)
        caller.connect(address)
        pid, uid = peer_of(caller)
    except BlockingIOError:  # more callers wait there than we ever leave
        return {"pid": None, "uid": None}
    except OSError:
        return None
    finally:
        caller.close()
    return {"pid": pid or None, "uid": uid}


def _proven(pid: Optional[int], run: bytes) -> Optional[bool]:
    """Whether a supervisor's children carry the run's marker; None where they cannot be seen."""
    if pid is None:
        return None
    try:
        return any(MARKER + run in each for each in _environments(pid))
    except OSError:
        return None


def _environments(pid: int) -> Iterator[bytes]:
    with open("/proc/%d/task/%d/children" % (pid, pid), "rb") as file:
        children = file.read().split()
    for child in children:
        path = os.path.join(b"/proc", child, b"environ")
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(path, "rb") as file:
            yield file.read()
