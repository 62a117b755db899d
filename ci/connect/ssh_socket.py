"""The sockets below SSH: TCP with its delays bounded, or a proxy command. Knows no SSH."""

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

# As Linux names it; a controller may be another system.
QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)

ADVICE = {
    errno.ECONNREFUSED: "nothing listens there; start sshd on it, or correct `port`",
    errno.EHOSTUNREACH: "it is down, or the network to it is; look at its power, link and address",
    errno.ENETUNREACH: "no route to its network; look at the routes and the address",
}


FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass(frozen=True)
class Tcp:
    """How a TCP connection is made.

    Attributes:
        connect_s: limit, for each address of a name.
        family: inet, inet6 or any.
        source: the address to connect from; "" for any.
    """

    connect_s: float = CONNECT_S
    family: str = "any"
    source: str = ""


def dial(host: str, address: str, port: int, tcp: Tcp) -> socket.socket:
    """Connect over TCP, to each address that the name has in turn.

    Without NODELAY each round trip waits 40 ms. The kernel ends a connection whose peer is silent
    for USER_TIMEOUT_S, whether we are sending or, by keepalives, only listening.

    Args:
        host: name in the plan, for messages.
        address: name or IP address.
        port: of sshd.
        tcp: how to connect.

    Raises:
        HostUnreachable: says why, and what to do.
    """
    try:
        wanted = FAMILIES.get(tcp.family, socket.AF_UNSPEC)
        found = socket.getaddrinfo(address, port, wanted, socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise HostUnreachable(
            f"{host}: the name {address!r} is not known here ({error}); correct "
            "`address`, DNS, /etc/hosts or ~/.ssh/config",
        ) from error
    cause: OSError = OSError(errno.EHOSTUNREACH, "no address")
    for family, kind, protocol, _, where in found:
        sock = Prompt(family, kind, protocol)
        try:
            _bound(sock, tcp.connect_s)
            if tcp.source:
                sock.bind((tcp.source, 0))
            sock.connect(where)
        except OSError as error:
            sock.close()
            cause = error
        else:
            return sock
    raise HostUnreachable(f"{host}: {address} port {port}: {_why(cause, tcp.connect_s)}") from cause


class Prompt(socket.socket):
    """Acknowledges at once what it receives.

    sshd leaves its Nagle on until a command runs: the answer to our first channel waits for the
    acknowledgement of earlier data, which the kernel would delay by 40 ms.
    """

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As a socket's. The kernel soon forgets this option, so it is set each time."""
        data = super().recv(size, flags)
        if QUICK_ACK is not None:
            self.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 1)
        return data


def run_proxy(host: str, command: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Run a proxy command with a socket as stdin and stdout, out of reach of our Ctrl-C.

    Raises:
        HostUnreachable: the host does not have that shell.
    """
    ours, its = socket.socketpair()
    shell = os.environ.get("SHELL") or "/bin/sh"  # as OpenSSH
    with its:
        try:
            process = subprocess.Popen(
                [shell, "-c", f"exec {command}"],
                stdin=its.fileno(),
                stdout=its.fileno(),
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            ours.close()
            raise HostUnreachable(
                f"{host}: cannot run its proxy command with {shell}: {error.strerror}; correct "
                "$SHELL",
            ) from error
    return ours, process


def _bound(sock: socket.socket, timeout_s: float) -> None:
    sock.settimeout(timeout_s)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (  # as Linux names them; a controller may be another system
        ("TCP_USER_TIMEOUT", USER_TIMEOUT_S * 1000),
        ("TCP_KEEPIDLE", KEEPALIVE_S),
        ("TCP_KEEPINTVL", KEEPALIVE_S),
    ):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _why(error: OSError, timeout_s: float) -> str:
    if isinstance(error, TimeoutError):
        return (
            f"no answer within {timeout_s:g} s; the host is down or a firewall drops the port: "
            "look at its power, link and firewall"
        )
    advice = ADVICE.get(error.errno or 0, "look at the host and the network")
    return f"{error.strerror or error}: {advice}"
