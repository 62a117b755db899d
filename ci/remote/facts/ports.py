"""Which ports of this host are listened on, and by whom. Asks the kernel, reads /proc."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections import namedtuple

from ci.remote.facts.network import dump

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Set

# Linux include/uapi/linux/{netlink,sock_diag,inet_diag}.h
_SOCK_DIAG, _BY_FAMILY = 4, 20
_QUESTION = struct.Struct("=BBBBI48x")  # inet_diag_req_v2
_ANSWER = struct.Struct("=B3x2s2x16s40xII")  # inet_diag_msg
_ONLY_LISTENING = 1 << 0x0A
_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp, Linux include/net/tcp_states.h


# One listening socket. Importing typing.NamedTuple takes 5 ms on each host.
Listener = namedtuple("Listener", ("port", "address", "uid", "inode"))  # noqa: PYI024


def listeners() -> List[Listener]:
    """Find every listening TCP socket of this network namespace."""
    try:
        return [one for family in (socket.AF_INET, socket.AF_INET6) for one in _asked(family)]
    except OSError:  # a kernel without inet_diag
        return _read()


def _asked(family: int) -> List[Listener]:
    """Ask for the listening sockets alone.

    On a machine of 24 GiB this took 0.1 ms and /proc/net/tcp 19 ms: the kernel goes through its
    whole table of connections for that, which grows with the memory.
    """
    question = _QUESTION.pack(family, socket.IPPROTO_TCP, 0, 0, _ONLY_LISTENING)
    found: List[Listener] = []
    for body in dump(_SOCK_DIAG, _BY_FAMILY, question):
        _, port, raw, uid, inode = _ANSWER.unpack_from(body)
        address = socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)
        found.append(Listener(int.from_bytes(port, "big"), address, uid, str(inode)))
    return found


def _read() -> List[Listener]:
    """Read the listening sockets from /proc."""
    found: List[Listener] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="utf-8") as lines:
                rows = [line.split() for line in lines][1:]
        except OSError:
            continue
        for row in rows:
            if row[3] == _LISTEN:
                address, port = row[1].rsplit(":", 1)
                found.append(Listener(int(port, 16), _address(address), int(row[7]), row[9]))
    return found


def taken(wanted: List[int], found: List[Listener]) -> Dict[str, Dict[str, Any]]:
    """Say who has which of the wanted ports.

    Args:
        wanted: the ports to look for.
        found: what `listeners` gave.

    Returns:
        Port, as text → `addresses`, and `pid`, `command`, `user`, `run` of its owner. Another
        user's process cannot be looked into: then pid is null and only the user is known.
    """
    by_port: Dict[int, List[Listener]] = {}
    for one in found:
        if one.port in wanted:
            by_port.setdefault(one.port, []).append(one)
    if not by_port:
        return {}
    from ci.remote.facts.owner import describe, user_name  # noqa: PLC0415 - seldom needed

    owners = _owners({one.inode for many in by_port.values() for one in many})
    answer: Dict[str, Dict[str, Any]] = {}
    for port, many in sorted(by_port.items()):
        pids = [owners[one.inode] for one in many if one.inode in owners]
        user = user_name(many[0].uid)
        unknown = {"pid": None, "command": f"a process of {user}", "user": user, "run": None}
        answer[str(port)] = {
            **(describe(min(pids)) if pids else unknown),
            "addresses": sorted({one.address for one in many}),
        }
    return answer


def _owners(inodes: Set[str]) -> Dict[str, int]:
    """Socket inode → the first process that has it open, in one walk through /proc."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    owners: Dict[str, int] = {}
    for pid in sorted(map(int, filter(str.isdecimal, os.listdir("/proc")))):
        try:
            handles = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for handle in handles:
            try:
                inode = wanted.get(os.readlink(f"/proc/{pid}/fd/{handle}"))
            except OSError:
                continue
            if inode:
                owners.setdefault(inode, pid)
        if len(owners) == len(wanted):
            break
    return owners


def _address(text: str) -> str:
    """Read an address as /proc/net/tcp writes it: 32-bit words in the machine's byte order."""
    raw = bytes.fromhex(text)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return socket.inet_ntop(socket.AF_INET if len(raw) == 4 else socket.AF_INET6, raw)  # noqa: PLR2004
