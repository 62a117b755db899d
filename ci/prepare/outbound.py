"""Connect from this machine to other hosts, through the proxy that its environment names."""

from __future__ import annotations

import base64
import socket
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from ci.documents.address import host_port

HostPort = tuple[str, int]

HEAD_BYTES = 64 * 1024
DIAL_S = 15.0
PORTS = {"http": 80, "https": 443}


def proxy_for(host: str, scheme: str) -> str | None:
    """Return the URL of this machine's own proxy for a host; None if it has none."""
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    return proxy if proxy and not proxy_bypass(host) else None


def proxy_authorization(host: str, scheme: str) -> list[str]:
    """Return the authorization header for this machine's own proxy; empty if it has no user."""
    parts = urlsplit(proxy_for(host, scheme) or "")
    if not parts.username:
        return []
    credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return [f"Proxy-Authorization: Basic {base64.b64encode(credentials.encode()).decode()}"]


def dial(target: HostPort, scheme: str) -> socket.socket:
    """Connect to a target, or to this machine's own proxy if it has one.

    For https, the proxy is asked for a tunnel to the target; for http, the caller sends the proxy
    a request with the whole URL.

    Raises:
        OSError: the connection failed, or the setting of the proxy is invalid.
    """
    proxy = proxy_for(target[0], scheme)
    if proxy is None:
        return socket.create_connection(target, DIAL_S)
    connection = socket.create_connection(_address_of(proxy, scheme), DIAL_S)
    if scheme == "https":
        try:
            _open_tunnel(connection, target)
        except OSError:
            connection.close()
            raise
    return connection


def _address_of(proxy: str, scheme: str) -> HostPort:
    try:
        parts = urlsplit(proxy)
        return parts.hostname or "", parts.port or PORTS[parts.scheme]
    except (ValueError, KeyError):
        # The setting itself may hold a password.
        raise OSError(
            f"its own proxy for {scheme} is not http://HOST:PORT; check {scheme}_proxy or all_proxy"
        ) from None


def _open_tunnel(connection: socket.socket, target: HostPort) -> None:
    name = host_port(*target)
    authorization = proxy_authorization(target[0], "https")
    head = [f"CONNECT {name} HTTP/1.1", f"Host: {name}", *authorization]
    connection.sendall("\r\n".join([*head, "", ""]).encode())
    response = b""
    while not response.endswith(b"\r\n\r\n") and len(response) < HEAD_BYTES:
        byte = connection.recv(1)  # no more: the bytes after the head are the caller's
        if not byte:
            break
        response += byte
    if response.split(b" ")[1:2] != [b"200"]:
        status = response.split(b"\r\n")[0].decode("latin-1")
        raise OSError(f"its own proxy answered {status!r}")
