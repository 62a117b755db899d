"""The network interfaces and addresses of this host, from the kernel over netlink."""

from __future__ import annotations

import os
import struct

from ci.remote.lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Iterator, List, Optional, Tuple

# Linux include/uapi/linux/{netlink,rtnetlink,if_link,if_addr}.h
_GET_LINK, _GET_ADDRESS, _ERROR, _DONE = 18, 22, 2, 3
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_LINK_NAME, _LINK_MTU, _ADDRESS, _LOCAL = 3, 4, 1, 2
_HEADER = struct.Struct("=IHHII")
_FLAG_UP, _FLAG_RUNNING = 0x1, 0x40
_SCOPE_LINK = 253
_ROUTE_UP = 0x1
_ANY_FAMILY = bytes(16)
ANSWER_S = 2.0


def interfaces() -> List[Dict[str, Any]]:
    """List the interfaces: `name`, `mtu`, `up` (enabled, with a carrier)."""
    return [
        {"name": link["name"], "mtu": link["mtu"], "up": link["up"]} for link in _links().values()
    ]


def addresses() -> List[Dict[str, Any]]:
    """List the addresses of interfaces that are up: `interface`, `address`, `prefix`.

    IPv6 addresses that are valid only on a single link are left out.
    """
    links = _links()
    listed: List[Dict[str, Any]] = []
    for body in dump(socket.NETLINK_ROUTE, _GET_ADDRESS, _ANY_FAMILY):
        family, prefix, _, scope, index = struct.unpack_from("=BBBBI", body)
        if family not in (socket.AF_INET, socket.AF_INET6) or index not in links:
            continue
        link = links[index]
        if not link["up"] or (family == socket.AF_INET6 and scope == _SCOPE_LINK):
            continue
        parts = dict(_attributes(body, 8))
        raw = parts.get(_LOCAL) or parts.get(_ADDRESS)
        if raw:
            address = socket.inet_ntop(family, raw)
            listed.append({"interface": link["name"], "address": address, "prefix": prefix})
    return listed


def default_interface() -> Optional[str]:
    """Return the interface of the default route with the lowest metric."""
    with open("/proc/net/route", encoding="utf-8") as lines:
        rows = [line.split() for line in lines][1:]
    routes = [
        (int(row[6]), row[0])
        for row in rows
        if row[1] == "00000000" and row[7] == "00000000" and int(row[3], 16) & _ROUTE_UP
    ]
    return min(routes)[1] if routes else None


def ssh_address() -> Optional[str]:
    """Return the address of this host to which the controller has connected by SSH."""
    words = os.environ.get("SSH_CONNECTION", "").split()
    return words[2] if len(words) == 4 else None  # noqa: PLR2004 - client, port, server, port


def _links() -> Dict[int, Dict[str, Any]]:
    links: Dict[int, Dict[str, Any]] = {}
    for body in dump(socket.NETLINK_ROUTE, _GET_LINK, _ANY_FAMILY):
        _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
        parts = dict(_attributes(body, 16))
        up = bool(flags & _FLAG_UP and flags & _FLAG_RUNNING)
        links[index] = {
            "name": parts.get(_LINK_NAME, b"").rstrip(b"\0").decode("utf-8", "replace"),
            "mtu": struct.unpack("=I", parts[_LINK_MTU])[0] if _LINK_MTU in parts else None,
            "up": up,
        }
    return links


def dump(protocol: int, message_type: int, body: bytes) -> Iterator[bytes]:
    """Request all objects of a type from the kernel; yield the body of each, see netlink(7).

    Args:
        protocol: a `NETLINK_*`.
        message_type: type of the request.
        body: body of the request.

    Raises:
        OSError: the kernel has no answer.
    """
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
    try:
        link.settimeout(ANSWER_S)
        link.bind((0, 0))
        link.send(_HEADER.pack(_HEADER.size + len(body), message_type, _DUMP, 1, 0) + body)
        while True:
            answer = link.recv(1 << 18)
            at = 0
            while at + _HEADER.size <= len(answer):
                length, kind, _, _, _ = _HEADER.unpack_from(answer, at)
                body = answer[at + _HEADER.size : at + length]
                if kind == _DONE:
                    return
                if kind == _ERROR:
                    raise OSError(-struct.unpack_from("=i", body)[0], "netlink refused the request")
                yield body
                at += _aligned(length)
    finally:
        link.close()


def _attributes(body: bytes, at: int) -> Iterator[Tuple[int, bytes]]:
    while at + 4 <= len(body):
        length, kind = struct.unpack_from("=HH", body, at)
        if length < 4:  # noqa: PLR2004 - the size of its header; the rest is padding
            return
        yield kind, body[at + 4 : at + length]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
