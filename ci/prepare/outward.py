"""Connections from this machine outwards, through its own proxy where its environment names one."""

from __future__ import annotations

import base64
import socket
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ci.documents.address import host_port

Where = tuple[str, int]

HEAD_BYTES = 64 * 1024
DIAL_S = 15.0
PORTS = {"http": 80, "https": 443}


def proxy_for(host: str, scheme: str) -> str | None:
    """The proxy that this machine itself goes through, as its environment says."""
    proxies = getproxies()
    found = proxies.get(scheme) or proxies.get("all")
    return found if found and not proxy_bypass(host) else None


def proxy_word(host: str, scheme: str) -> list[str]:
    """The header with which that proxy lets us in, if it wants one."""
    parts = urlsplit(proxy_for(host, scheme) or "")
    if not parts.username:
        return []
    word = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(word.encode()).decode()}"]


def dial(where: Where, scheme: str) -> socket.socket:
    """Connect; where this machine has a proxy of its own, to that, for https through it.

    Raises:
        OSError: it cannot be, or this machine's own proxy is set to what is none.
    """
    proxy = proxy_for(where[0], scheme)
    if proxy is None:
        way = socket.create_connection(where, DIAL_S)
    else:
        way = socket.create_connection(_address_of(proxy, scheme), DIAL_S)
        if scheme == "https":
            try:
                _ask_through(way, where)
            except OSError:
                way.close()
                raise
    return way


def _address_of(proxy: str, scheme: str) -> Where:
    try:
        parts = urlsplit(proxy)
        return parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        # The setting itself may hold a password.
        raise OSError(
            f"its own proxy for {scheme} is not http://HOST:PORT; see {scheme}_proxy or all_proxy"
        ) from None


def _ask_through(way: socket.socket, where: Where) -> None:
    target = host_port(*where)
    head = [f"CONNECT {target} HTTP/1.1", f"Host: {target}", *proxy_word(where[0], "https")]
    way.sendall("\r\n".join([*head, "", ""]).encode())
    said = b""
    while not said.endswith(b"\r\n\r\n") and len(said) < HEAD_BYTES:
        piece = way.recv(1)  # not a byte more: what follows is the caller's
        if not piece:
            break
        said += piece
    if said.split(b" ")[1:2] != [b"200"]:
        raise OSError("its own proxy said " + repr(said.split(b"\r\n")[0].decode("latin-1")))
