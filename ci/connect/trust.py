"""Show the keys of hosts, and add trusted keys to known_hosts files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ci.connect.fan_out import fan_out
from ci.connect.key_check import NO_FILE, check_key
from ci.connect.known_hosts import HostKey, KnownFiles, known_keys, line_to_add
from ci.connect.ssh import SshConnections
from ci.errors import HostKeyRefused, LamplighterError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.connect.ssh_link import Link
    from ci.inventory.target import Target


@dataclass(frozen=True)
class Offer:
    """A key that a host shows.

    Attributes:
        host: its name in the plan; for a jump host, as it is written.
        name: its name in known_hosts files.
        key: the key; as text it is type and fingerprint.
        known_hosts: the files that were read.
    """

    host: str
    name: str
    key: HostKey
    known_hosts: KnownFiles

    @property
    def known(self) -> bool:
        """Return whether the key is known already, or has a valid certificate."""
        return not self._why_not

    @property
    def refused(self) -> str:
        """Return the reason why it cannot be added; empty if it can be, or is known."""
        known = known_keys(self.name, self.known_hosts.files)
        if known.keys or self.key in [entry.key for entry in known.revoked]:
            return self._why_not
        return "" if self.known_hosts.new or self.known else f"{self.host}: {NO_FILE}"

    @property
    def _why_not(self) -> str:
        known = known_keys(self.name, self.known_hosts.files)
        try:
            check_key(self.host, self.name, self.key, known, self.known_hosts)
        except HostKeyRefused as error:
            return str(error)
        return ""

    @property
    def line(self) -> str:
        """Return the line to add to known_hosts."""
        return line_to_add(self.name, self.key)


def offers(targets: Sequence[Target]) -> Iterator[tuple[str, Offer | LamplighterError]]:
    """Ask every host for its key; first the jump hosts, as the others are behind them.

    The caller trusts a jump host's key, or not, before it takes the next item: the hosts behind an
    untrusted jump host cannot be asked.

    Args:
        targets: the hosts; only jump hosts get an authentication.

    Yields:
        The host's name, and its key or the error.
    """
    with SshConnections(targets) as connections:
        for jump in connections.jumps(targets):
            yield jump.route.name, _offer(jump)
        by_name = {target.name: target for target in targets}
        yield from fan_out(by_name, lambda name: _offer(connections.link(by_name[name]))).items()


def trust(offer: Offer) -> Path | None:
    """Add a host's key to the known_hosts file for new keys.

    Args:
        offer: a key that the operator trusts.

    Returns:
        The file that was written; None if the key was already known.

    Raises:
        HostKeyRefused: another key is known, the key is revoked, or no file is for new keys.
        UserError: the file cannot be written.
    """
    if offer.refused:
        raise HostKeyRefused(offer.refused)
    if offer.known:
        return None
    file = Path(offer.known_hosts.new)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "r+b") as lines:
            size = lines.seek(0, os.SEEK_END)
            torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
            lines.write(b"\n" * torn + offer.line.encode() + b"\n")
    except OSError as error:
        raise UserError(
            f"cannot write {file}: {error.strerror}; make it writable or name another known_hosts",
        ) from error
    return file


def _offer(link: Link) -> Offer | LamplighterError:
    try:
        shown = link.shown_key()
    except LamplighterError as error:
        return error
    return Offer(link.route.name, link.route.key_name, shown, link.route.known_hosts)
