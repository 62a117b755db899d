"""The control socket of a supervisor, and its state file."""

from __future__ import annotations

import os
import sys

from ci.remote.lean import json, socket
from ci.remote.names import is_name
from ci.remote.supervise.store import read_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Iterator, Optional, Tuple

    from ci.remote.supervise.store import State

ANSWER_S = 5.0
MESSAGE_BYTES = 1 << 20
MOST_CHARS = 1000


def by_short_path(folder: str, act: Callable[[str], object]) -> None:
    """Call `act` with a short path of the control socket: 108 bytes are the limit."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        act(f"/proc/self/fd/{handle}/control")
    finally:
        os.close(handle)


def new_socket() -> socket.socket:
    """Create a SEQPACKET socket, on which every message arrives whole."""
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def listen(folder: str) -> socket.socket:
    """Open the control socket."""
    listener = new_socket()
    by_short_path(folder, listener.bind)
    listener.listen(16)
    listener.settimeout(0)
    return listener


def accept(listener: socket.socket) -> socket.socket:
    """Accept the next caller without waiting."""
    handle, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - as `socket` does
    caller = socket.socket(fileno=handle)
    caller.settimeout(0)
    return caller


def peer_of(caller: socket.socket) -> Tuple[int, int]:
    """Return the pid and the user of the peer, from the kernel; see unix(7)."""
    raw = caller.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    pid, uid = (int.from_bytes(raw[at : at + 4], sys.byteorder) for at in (0, 4))
    return pid, uid


def is_stopped(pid: int) -> bool:
    """Return whether a signal or a debugger has stopped a process."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            return file.read().rpartition(b") ")[2][:1] in (b"T", b"t")
    except OSError:
        return False


def dial(folder: str, message: str) -> Optional[socket.socket]:
    """Connect to the supervisor of a folder and send a message; None if it has ended."""
    caller = new_socket()
    try:
        by_short_path(folder, caller.connect)
        caller.send(message.encode())
    except OSError:
        caller.close()
        return None
    return caller


def receive(caller: socket.socket) -> State:
    """Wait for the next state; empty if the supervisor has ended."""
    try:
        return json.loads(caller.recv(MESSAGE_BYTES) or b"{}")  # type: ignore[no-any-return]
    except OSError:
        return {}


def last_state(folder: str, caller: Optional[socket.socket] = None) -> State:
    """Return the state that the supervisor sends, or else the last state that it wrote."""
    if caller is not None:
        try:
            caller.settimeout(ANSWER_S)
            state = {} if is_stopped(peer_of(caller)[0]) else receive(caller)
        finally:
            caller.close()
        if state:
            return state
    written = read_json(os.path.join(folder, "state.json"))
    # Take run and process from the folder: the file may have been changed.
    run, process = os.path.normpath(folder).split(os.sep)[-2:]
    state = dict(_UNKNOWN, **{key: value for key, value in written.items() if _fits(key, value)})
    state.update(run=run, process=process, complete=state["complete"] is True)
    return state if state["complete"] else dict(state, state="lost")


def _fits(key: str, value: object) -> bool:
    """Tell whether a value is one that a supervisor writes: one odd state must hide no other."""
    if key == "survivors":
        return isinstance(value, list) and all(type(pid) is int and pid > 0 for pid in value)
    if key in {"complete", "escalated"}:
        return type(value) is bool
    if key in {"state", "owner", "started_at", "ended_at"}:
        return isinstance(value, str) and len(value) <= MOST_CHARS
    return key == "shared" or (type(value) is int and 0 <= value < 1 << 31)


_UNKNOWN: State = {"complete": False, "supervisor": None, "state": "lost", "survivors": []}


def processes(state_dir: str) -> Iterator[State]:
    """Read the state of every process of every run."""
    for run in sorted(filter(is_name, next(os.walk(state_dir), ("", [], []))[1])):
        for process in sorted(filter(is_name, next(os.walk(os.path.join(state_dir, run)))[1])):
            folder = os.path.join(state_dir, run, process)
            if os.path.exists(os.path.join(folder, "state.json")):
                yield dict(last_state(folder, dial(folder, "ask")), folder=folder)
