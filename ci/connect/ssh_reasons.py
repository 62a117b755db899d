"""Explain in one line why a connection failed, and what to do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paramiko.auth_strategy import AuthFailure
from paramiko.ssh_exception import ChannelException, IncompatiblePeer

from ci.connect.printed import quoted

if TYPE_CHECKING:
    from ci.connect.ssh_keys import Keys
    from ci.connect.ssh_route import Route

# Of what is common: one that paramiko has.
ALGORITHMS = (
    "Ciphers aes256-gcm@openssh.com, aes256-ctr; KexAlgorithms curve25519-sha256; "
    "MACs hmac-sha2-256; HostKeyAlgorithms ssh-ed25519, rsa-sha2-512"
)
BANNER_S = 10.0
AUTH_S = 15.0


def why_refused(route: Route, error: Exception, keys: Keys | None) -> str:
    """Explain an error between the first byte and the end of the authentication."""
    if isinstance(error, AuthFailure) and keys is not None:
        return _auth_failed(route, error, keys)
    reason = str(error)
    banner = _banner_of(keys) if keys is not None else ""
    if banner:
        advice = f"it refuses the login and says {banner}; see to that, and run again"
    elif route.proxy_command:
        advice = f"run its proxy command by hand: {route.proxy_command}"
    elif isinstance(error, IncompatiblePeer):
        advice = (
            f"its sshd and this program have no algorithm in common ({reason}); update it, or "
            f"allow in its sshd_config one of each: {ALGORITHMS}"
        )
    elif "banner" in reason:
        advice = (
            f"the port answers, but no SSH banner came within {BANNER_S:g} s: its sshd hangs, is "
            "overloaded, or it is another program; look at it on the host"
        )
    else:
        advice = f"it ended the handshake ({reason or 'connection closed'}); read its sshd's log"
    return f"{route.name}: {route.address}: {advice}"


def why_no_jump(route: Route, jump: Route, error: Exception) -> str:
    """Explain why a jump host did not connect to a host."""
    reason = f"{type(error).__name__}: {error}" if str(error) else "it broke the connection"
    if isinstance(error, ChannelException):
        reason = {
            1: "it does not allow forwarding; set AllowTcpForwarding in its sshd_config",
            2: "it cannot connect there; see that the host is up, the address and its port",
        }.get(error.code, error.text)
    target = f"{route.fabric.host} port {route.fabric.port}"
    return f"{route.name}: cannot reach {target} through jump host {jump.name}: {reason}"


def _auth_failed(route: Route, error: AuthFailure, keys: Keys) -> str:
    unusable = f"; not usable: {'; '.join(keys.unusable)}" if keys.unusable else ""
    if any("timeout" in str(attempt.result).lower() for attempt in error.result):
        return (
            f"{route.name}: {route.address}: no answer to a key within {AUTH_S:g} s; its sshd or "
            "what it asks (home folder, directory service) hangs: look at it on the host"
        )
    if not keys.tried:
        return (
            f"{route.name}: there is no key to show to {route.address}{unusable}; name a private "
            "key as `identity`, or add one to an agent with ssh-add"
        )
    banner = _banner_of(keys)
    refusal = f"refuses the login and says {banner}. If that is not why: it " if banner else ""
    shown = [
        attempt for attempt in error.result if "No existing session" not in str(attempt.result)
    ]
    if any("shut down" in str(attempt.result) for attempt in shown):
        return (
            f"{route.name}: {route.address} {refusal}ended the connection after {len(shown)} of "
            f"our keys, {', '.join(keys.tried[: len(shown)])}; it may accept no more "
            f"(MaxAuthTries): name the right key as `identity`{unusable}"
        )
    return (
        f"{route.name}: {route.address} {refusal}takes none of our keys: {', '.join(keys.tried)}"
        f"{unusable}; add its public half to ~/.ssh/authorized_keys there, or correct `user` or "
        "`identity`"
    )


def _banner_of(keys: Keys) -> str:
    return " ".join(filter(None, dict.fromkeys(map(quoted, keys.banners))))
