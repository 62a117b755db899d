"""Choose the algorithms and types of host keys that a connection asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paramiko

from ci.connect.host_certificate import SUFFIX

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ci.connect.known_hosts import Known

HANDSHAKE_S = 15.0

# Per MB received: 1.2 ms of CPU, and 3 ms with paramiko's first choice. Its others follow these.
FAST = {
    "ciphers": ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com"),
    "kex": ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"),
}
RSA = ("rsa-sha2-512", "rsa-sha2-256")
PLAIN = ("ssh-ed25519", *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)), *RSA)


class _Transport(paramiko.Transport):
    """Asks for host keys of these types, in this order; paramiko itself puts certificates last."""

    host_key_types: tuple[str, ...] = ()

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self.host_key_types


def wanted_types(known: Known) -> tuple[str, ...]:
    """Return the types of the known keys; certificates come first if an authority is known."""
    types = [known_key.key.type for known_key in known.keys or known.portless]
    wanted = [name for kind in types for name in (RSA if kind == "ssh-rsa" else (kind,))]
    certified = tuple(name + SUFFIX for name in PLAIN) if known.authorities else ()
    return (*certified, *_first(wanted, PLAIN))


def new_transport(
    types: tuple[str, ...],
    sock: socket.socket,
    **settings: Any,  # noqa: ANN401 - the client's own; they depend on paramiko's version
) -> paramiko.Transport:
    """Make a transport that asks for a key of a known type, and prefers fast algorithms."""
    transport = _Transport(sock, **settings)
    transport.host_key_types = types
    transport.handshake_timeout = HANDSHAKE_S
    options = transport.get_security_options()
    options.ciphers = _first(FAST["ciphers"], options.ciphers)
    options.kex = _first(FAST["kex"], options.kex)
    return transport


def _first(preferred: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    wanted = [name for name in dict.fromkeys(preferred) if name in available]
    return (*wanted, *(name for name in available if name not in wanted))
