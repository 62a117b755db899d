"""Open the sockets below SSH: TCP with limited delays, or a proxy command. Contains no SSH."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
from dataclasses import dataclass

from ci.errors import HostUnreachable

CONNECT_S = 5.0
USER_TIMEOUT_S = 10
KEEPALIVE_S = 5

# Linux has it; the controller may be another system.
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)

ADVICE = {
    errno.ECONNREFUSED: "nothing listens there; start sshd on it, or correct `port`",
    errno.EHOSTUNREACH: "it is down, or the network to it is; look at its power, link and address",
    errno.ENETUNREACH: "no route to its network; look at the routes and the address",
}


FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass(frozen=True)
class Tcp:
    """Settings of a TCP connection.

    Attributes:
        connect_s: time limit for each address of a name.
        family: inet, inet6 or any.
        source: the local address; empty for any.
    """

    connect_s: float = CONNECT_S
    family: str = "any"
    source: str = ""


def dial(host: str, address: str, port: int, tcp: Tcp) -> socket.socket:
    """Connect over TCP; tries each address of the name in turn.

    Without NODELAY each round trip waits 40 ms. The kernel ends a connection whose peer is silent
    for USER_TIMEOUT_S, both while this side sends and, by keepalives, while it only receives.

    Args:
        host: name in the plan, for messages.
        address: name or IP address.
        port: of sshd.
        tcp: how to connect.

    Raises:
        HostUnreachable: no connection; has the cause and advice.
    """
    try:
        wanted = FAMILIES.get(tcp.family, socket.AF_UNSPEC)
        resolved = socket.getaddrinfo(address, port, wanted, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnreachable(
            f"{host}: the name {address!r} is not known here ({error}); correct "
            "`address`, DNS, /etc/hosts or ~/.ssh/config",
        ) from error
    cause: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, protocol, _, peer in resolved:
        sock = QuickAckSocket(family, kind, protocol)
        try:
            _set_options(sock, tcp.connect_s)
            if tcp.source:
                sock.bind((tcp.source, 0))
            sock.connect(peer)
        except OSError as error:
            sock.close()
            cause = error
        else:
            return sock
    raise HostUnreachable(
        f"{host}: {address} port {port}: {_reason(cause, tcp.connect_s)}"
    ) from cause


class QuickAckSocket(socket.socket):
    """Acknowledges received data at once.

    sshd uses Nagle's algorithm until a command runs: its reply to the first channel waits for the
    acknowledgement of earlier data, which the kernel would delay by 40 ms.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive data; the kernel soon resets this option, so it is set each time."""
        data = super().recv(size, flags)
        if QUICK_ACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        return data


def run_proxy(host: str, command: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Run a proxy command with a socket as stdin and stdout; Ctrl-C does not reach it.

    Raises:
        HostUnreachable: the shell cannot be started.
    """
    near, far = socket.socketpair()
    shell = os.environ.get("SHELL") or "/bin/sh"  # as OpenSSH does
    with far:
        try:
            process = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=far.fileno(),
                stdout=far.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            near.close()
            raise HostUnreachable(
                f"{host}: cannot run its proxy command with {shell}: {error.strerror}; correct "
                "$SHELL",
            ) from error
    return near, process


def _set_options(sock: socket.socket, timeout_s: float) -> None:
    sock.settimeout(timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (  # Linux has them; the controller may be another system
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_S * 1000),
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_S),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _reason(error: OSError, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {timeout_s:g} s; the host is down or a firewall drops the port: "
            "look at its power, link and firewall"
        )
    advice = ADVICE.get(error.errno or 0, "look at the host and the network")
    return f"{error.strerror or error}: {advice}"
