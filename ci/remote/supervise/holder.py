"""Hold a node of a Slurm job for supervised processes, in a step of its own.

Where Slurm tracks processes by cgroup, all processes of a step end with it, supervisors too, and
the agent's step ends with the connection. So this step starts the supervisors, and outlives the
agent: an agent of the same user and job sends what to start over a socket in the kernel's abstract
namespace, see unix(7). Once the controller has closed its end, this step ends with its last
supervisor.
"""

from __future__ import annotations

import os
import select
import sys

from ci.remote.lean import json, signal, socket, suppress
from ci.remote.slurm_step import leave
from ci.remote.supervise.child import LIBC
from ci.remote.supervise.control import accept, peer_of
from ci.remote.supervise.guardian import PR_SET_CHILD_SUBREAPER, guard
from ci.remote.supervise.host import settle
from ci.remote.supervise.store import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ci.remote.supervise.store import State

MOST_BYTES = 16 << 20
PIECE_BYTES = 1 << 16
ANSWER_S = 10.0
LOOK_S = 1.0


def address(job: str) -> bytes:
    """Return the address of the holder of this user in a job."""
    return b"\0lamplighter-holder/%d/%s" % (os.getuid(), job.encode())


def begin(job: str, spec: State) -> Optional[int]:
    """Let the holder start a supervisor.

    Args:
        job: number of the job.
        spec: what to start.

    Returns:
        As `guardian.begin`: what can be read until its end; None if nobody holds this node.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        caller.settimeout(ANSWER_S)
        caller.connect(address(job))
        if peer_of(caller)[1] != os.getuid():  # any user can take any name
            caller.close()
            return None
        caller.sendall(json.dumps(spec).encode())
        caller.shutdown(socket.SHUT_WR)
        caller.settimeout(None)
    except OSError:
        caller.close()
        return None
    return caller.detach()


def main(workspace: str) -> None:
    """Hold this node until the controller has left and the last supervisor has ended."""
    job, mark = leave(), "".join(sys.argv[1:]).encode()
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    held = True
    try:
        listener.bind(address(job))
        listener.listen(64)
        listener.settimeout(0)
    except OSError:  # a step of an earlier connection holds it
        held = False
    ready = {"event": "ready", "boot_id": boot_id(), "home": os.path.expanduser("~")}
    ready["name"] = settle(workspace)
    os.write(1, b"\n%s%s\n" % (mark, json.dumps(ready).encode()))
    if held:
        _serve(listener)
    os._exit(0)


def _serve(listener: socket.socket) -> None:
    watched = select.poll()
    for handle in (0, listener.fileno()):
        watched.register(handle, select.POLLIN)
    present = True
    while present or _has_children():
        for handle, _ in watched.poll(LOOK_S * 1000):
            if handle == 0:
                if not os.read(0, PIECE_BYTES):
                    present = False
                    watched.unregister(0)
                    watched.unregister(listener.fileno())
                    listener.close()  # the next holder takes the name
                    break
            elif present:
                with suppress(OSError, ValueError, KeyError):
                    _take(accept(listener))
        _has_children()


def _take(caller: socket.socket) -> None:
    """Start what a caller of this user sends; the supervisor answers it."""
    if peer_of(caller)[1] != os.getuid():
        caller.close()
        return
    caller.settimeout(ANSWER_S)
    text = b""
    try:
        while len(text) <= MOST_BYTES:
            piece = caller.recv(PIECE_BYTES)
            if not piece:
                break
            text += piece
        spec = json.loads(text)
    except (OSError, ValueError):
        caller.close()
        raise
    guard(spec, caller.detach())


def _has_children() -> bool:
    """Take the ends of supervisors; return whether some still run."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True
