"""How runs on the same host see each other, with different workspaces and users.

A run listens on a socket in the kernel's abstract namespace, see unix(7): it is not a file, every
user can list it, and it ends with the process that holds it. Any user can take any name there, so
the user and the process of the listener come from the kernel.
"""

from __future__ import annotations

import os

from ci.remote.lean import socket, suppress
from ci.remote.names import is_name
from ci.remote.supervise.control import accept, peer_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional

MOST_BYTES = 108  # of the name of a socket
MARK = b"lamplighter/"
MARKER = b"LAMPLIGHTER_RUN="  # as in `proc.py`, which an agent imports later


def announce(run: str, owner: str) -> Optional[socket.socket]:
    """Announce a run while the returned socket is open; None if it is already announced."""
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
    """Close the connection of a process that listed the runs."""
    with suppress(OSError):
        accept(announcement).close()


def present_runs() -> List[Dict[str, Any]]:
    """List the runs that are announced on this host.

    Returns:
        For each: `run` and `owner` as announced, `uid` and `pid` from the kernel, and `proven`:
        whether a process of the run is a child of this pid, null if unknown. Sockets without a
        listener are left out.
    """
    with open("/proc/net/unix", "rb") as file:
        text = file.read()
    names = {piece.split(b"\n", 1)[0] for piece in text.split(b"@" + MARK)[1:]}
    runs: List[Dict[str, Any]] = []
    for name in sorted(names):
        run, _, owner = name.decode("utf-8", "replace").partition("/")
        listener = _listener(b"\0" + MARK + name) if is_name(run) else None
        if listener is not None:
            proven = _proven(listener["pid"], run.encode())
            runs.append(dict(listener, run=run, owner=owner, proven=proven))
    return runs


def _listener(address: bytes) -> Optional[Dict[str, Any]]:
    """Return the pid and the user that listen, from the kernel; None without a listener."""
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        caller.settimeout(0)
        caller.connect(address)
        pid, uid = peer_of(caller)
    except BlockingIOError:  # its queue is full; a supervisor empties its queue
        return {"pid": None, "uid": None}
    except OSError:
        return None
    finally:
        caller.close()
    return {"pid": pid or None, "uid": uid}


def _proven(pid: Optional[int], run: bytes) -> Optional[bool]:
    """Return whether a child of a supervisor has the run's marker; None if unknown."""
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
        with suppress(FileNotFoundError, ProcessLookupError), open(path, "rb") as file:
            yield file.read()
