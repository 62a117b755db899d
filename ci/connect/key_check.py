"""Check that the key that a host shows is known, or has a valid certificate. Pure."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from ci.connect.host_certificate import parse, why_not
from ci.connect.known_hosts import line_to_add, without_port
from ci.errors import HostKeyRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.connect.known_hosts import HostKey, Known, KnownFiles, KnownKey

NO_FILE = (
    "give the host a known_hosts file: OpenSSH's configuration (or `known_hosts` of the cluster "
    "file) says `none` or /dev/null, which keeps no key. Write `known_hosts: ~/.ssh/known_hosts` "
    "into the cluster file, or another UserKnownHostsFile into OpenSSH's configuration, then run "
    "`inv hosts.trust`"
)


def check_key(host: str, name: str, key: HostKey, known: Known, files: KnownFiles) -> None:
    """Refuse a key that is not known.

    Args:
        host: name in the plan.
        name: the host's name in known_hosts files.
        key: the key that the host shows.
        known: the known keys of the host, from `known_keys`.
        files: the known_hosts files that were read.

    Raises:
        HostKeyRefused: the key is unknown, has changed, or is revoked.
    """
    _refuse_revoked(host, name, key, known)
    uncertified = _why_not_certified(name, key, known)
    if uncertified == "" or any(entry.key == key for entry in known.keys or known.portless):
        return
    if known.keys:
        raise HostKeyRefused(_changed(host, name, key, known.keys))
    notes = "; ".join(note for note in (uncertified, files.not_followed) if note)
    raise HostKeyRefused(
        f"{host}: the key of {name} is not known{f' ({notes})' if notes else ''}: {key}; compare "
        "it with the host's own (`ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub` there), then "
        + (
            f"run `inv hosts.trust` or add to {files.new} the line: {line_to_add(name, key)}"
            if files.new
            else NO_FILE
        ),
    )


def _refuse_revoked(host: str, name: str, key: HostKey, known: Known) -> None:
    """Refuse a key that is revoked, or certified by a revoked authority."""
    shown = {key.blob}
    if key.certificate and (certificate := parse(*_certificate(key))):
        shown.add(certificate.authority)
    for revoked in known.revoked:
        if revoked.key.blob in shown:
            raise HostKeyRefused(
                f"{host}: the key of {name}, {key}, or the authority that certifies it, is revoked "
                f"in {revoked.location}; give the host a new key, or ask who revoked it",
            )


def _why_not_certified(name: str, key: HostKey, known: Known) -> str | None:
    """Return "" for a key with a valid certificate; None if no authority is known."""
    if not known.authorities:
        return None
    first = f"a certificate authority is known, {known.authorities[0].location}, but "
    if key.certificate is None:
        return f"{first}the host shows no certificate"
    authorities = {entry.key.blob for entry in known.authorities}
    reason = why_not(*_certificate(key), without_port(name), authorities)
    return reason and first + reason


def _certificate(key: HostKey) -> tuple[str, bytes]:
    kind, blob = key.certificate or ("", "")
    return kind, base64.b64decode(blob)


def _changed(host: str, name: str, key: HostKey, known: Sequence[KnownKey]) -> str:
    same_type = [entry for entry in known if entry.key.type == key.type]
    expected = (same_type or known)[0]
    return (
        f"{host}: the key of {name} has changed: it shows {key}, but {expected.location} knows "
        f"{expected.key}; someone may stand in between, or the host was reinstalled: find out, "
        f"then `ssh-keygen -f {expected.file} -R '{name}'` and `inv hosts.trust`"
    )
