"""Which algorithms and types of host keys a connection asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import paramiko

from ci.connect.host_certificate import SUFFIX

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from ci.connect.known_hosts import Known

HANDSHAKE_S = 15.0

# Per MB received: 1.2 ms of CPU against 3 with paramiko's first choice; its others follow these.
FAST = {
    "ciphers": ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com"),
    "kex": ("curve25519-sha256@libssh.org", "ecdh-sha2-nistp256"),
}
RSA = ("rsa-sha2-512", "rsa-sha2-256")
PLAIN = ("ssh-ed25519", *(f"ecdsa-sha2-nistp{bits}" for bits in (256, 384, 521)), *RSA)


class _Transport(paramiko.Transport):
    """Asks for these types of host keys, in this order; paramiko's own puts certificates last."""

    host_key_types: tuple[str, ...] = ()

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        return self.host_key_types


def wanted_types(known: Known) -> tuple[str, ...]:
    """Return the types of the known keys, certificates before all where an authority is known."""
    types = [one.key.type for one in known.keys or known.portless]
    wanted = [name for kind in types for name in (RSA if kind == "ssh-rsa" else (kind,))]
    certified = tuple(name + SUFFIX for name in PLAIN) if known.authorities else ()
    return (*certified, *_first(wanted, PLAIN))


def new_transport(
    types: tuple[str, ...],
    sock: socket.socket,
    **settings: Any,  # noqa: ANN401 - the client's own: which there are depends on paramiko's version
) -> paramiko.Transport:
    """Make a transport that asks for a key of a known type, and prefers what costs least."""
    transport = _Transport(sock, **settings)
    transport.host_key_types = types
    transport.handshake_timeout = HANDSHAKE_S
    options = transport.get_security_options()
    options.ciphers = _first(FAST["ciphers"], options.ciphers)
    options.kex = _first(FAST["kex"], options.kex)
    return transport


def _first(preferred: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    wanted = [one for one in dict.fromkeys(preferred) if one in available]
    return (*wanted, *(one for one in available if one not in wanted))
