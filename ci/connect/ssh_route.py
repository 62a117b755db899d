"""Resolve the routes to hosts from their targets and OpenSSH's configuration. Does not connect."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import fabric
from paramiko import SSHConfig

from ci.connect.known_hosts import KnownFiles, is_special, known_name
from ci.connect.ssh_settings import settings
from ci.documents import address
from ci.errors import UserError
from ci.inventory.target import Target
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.connect.ssh_settings import Settings
    from ci.connect.ssh_socket import Tcp


@dataclass(frozen=True)
class Identities:
    """The keys that may be shown to a host.

    Attributes:
        files: private or public keys, in the order they are tried.
        certificates: certificate files; each is shown with its key.
        unread: other sources of keys, which are not read, each with advice.
        agent: the socket of the SSH agent; empty for none.
        others: whether every key of the agent is tried, not only those of `files`.
        defaults: whether the files are only OpenSSH's default ones.
    """

    files: tuple[str, ...]
    certificates: tuple[str, ...]
    unread: tuple[str, ...]
    agent: str
    others: bool
    defaults: bool


@dataclass(frozen=True, eq=False)
class Route:
    """The route to a host. `fabric` has host, port and user; routes do not share it.

    Attributes:
        name: the host's name in the plan; for a jump host, as it is written.
        key_name: the host's name in known_hosts files.
        jump: the route to its jump host; hosts with the same jump host share it.
        proxy_command: a command whose stdin and stdout are the connection; empty for none.
    """

    name: str
    fabric: fabric.Connection
    key_name: str
    known_hosts: KnownFiles
    identities: Identities
    jump: Route | None
    proxy_command: str
    python: str
    tcp: Tcp

    @property
    def address(self) -> str:
        """Return user, host and port, for messages."""
        return f"{self.fabric.user}@{self.fabric.host} port {self.fabric.port}"


@dataclass(frozen=True)
class SshSettings:
    """The inputs of all routes, and the settings and jump hosts that are known already.

    Attributes:
        targets: the hosts that a `jump` may name.
        known: the settings of a target, or the error of reading them.
        jumps: the routes to jump hosts.
    """

    targets: Mapping[str, Target]
    known: dict[tuple[object, ...], Settings | UserError] = field(default_factory=dict)
    jumps: dict[tuple[object, ...], Route] = field(default_factory=dict)

    def settings(self, target: Target) -> Settings:
        """Return a target's settings, which are read only once; may be called from any thread.

        Raises:
            UserError: OpenSSH's configuration cannot be used.
        """
        key = (*_identity(target), target.name)
        if key not in self.known:
            try:
                self.known[key] = settings(target)
            except UserError as error:
                self.known[key] = error
        known = self.known[key]
        if isinstance(known, UserError):
            raise UserError(str(known)) from known
        return known


def resolve_route(ssh_settings: SshSettings, target: Target, behind: tuple[str, ...] = ()) -> Route:
    """Resolve the route to a host; call it for one host at a time, so that hosts share jump hosts.

    Args:
        ssh_settings: the settings of all hosts.
        target: the host.
        behind: the hosts that are reached through it, to detect circles.

    Raises:
        UserError: OpenSSH's configuration cannot be used, or jump hosts form a circle.
    """
    options = ssh_settings.settings(target)
    connection = fabric.Connection(
        "set below",
        user=options.user,
        port=options.port,
        gateway=False,
        config=fabric.Config(ssh_config=SSHConfig()),  # already read
        connect_kwargs={"compress": False},  # an empty dict would be shared by all
    )
    connection.host = options.hostname  # the constructor would parse `user@host:port`
    jump = _jump(ssh_settings, target, options, (*behind, target.name))
    return Route(
        name=target.name,
        fabric=connection,
        key_name=options.key_alias or known_name(options.hostname, options.port),
        known_hosts=_known_hosts(target, options),
        identities=_identities(target, options),
        jump=jump,
        proxy_command="" if jump else options.proxy_command,
        python=target.python,
        tcp=options.tcp,
    )


def _jump(
    ssh_settings: SshSettings, target: Target, options: Settings, behind: tuple[str, ...]
) -> Route | None:
    """Resolve the route to a host's jump host; a chain `a,b` reaches b through a."""
    before, _, last = (target.jump or options.jump).rpartition(",")
    last = last.strip()
    if not last or last.lower() == "none":
        return None
    if last in behind:
        raise UserError(
            f"{' → '.join((*behind, last))}: these jump hosts form a circle; correct `jump`"
        )
    hop = ssh_settings.targets.get(last) or _hop(ssh_settings, target, last)
    hop = replace(hop, jump=before or hop.jump)
    key = (*_identity(hop), hop.jump)
    if key not in ssh_settings.jumps:
        ssh_settings.jumps[key] = resolve_route(ssh_settings, hop, behind)
    return ssh_settings.jumps[key]


def _hop(ssh_settings: SshSettings, target: Target, written: str) -> Target:
    """Make a jump host's target; it has the identity and known_hosts of the host behind it."""
    try:
        at = address.parse(written)
    except ValueError as error:
        raise UserError(f"{target.name}: jump host {written!r} {error}") from error
    hop = Target(written, at.host, at.user, at.port, known_hosts=target.known_hosts)
    named = target.identity is not None and not ssh_settings.settings(hop).default_keys
    return hop if named else replace(hop, identity=target.identity)


def _identity(target: Target) -> tuple[object, ...]:
    jump = target.jump is not None
    return (target.address, target.user, target.port, target.identity, target.known_hosts, jump)


def _known_hosts(target: Target, options: Settings) -> KnownFiles:
    if target.known_hosts is not None:
        files: tuple[str, ...] = (str(at_home_here(target.known_hosts)),)
        return KnownFiles(files, _first_writable(files))
    files = (*options.user_files, *options.global_files)
    return KnownFiles(files, _first_writable(options.user_files), options.not_followed)


def _first_writable(files: Sequence[str]) -> str:
    return next((file for file in files if not is_special(Path(file))), "")


def _identities(target: Target, options: Settings) -> Identities:
    stated = target.identity is not None
    return Identities(
        files=(str(at_home_here(target.identity)),) if target.identity else options.keys,
        certificates=options.certificates,
        unread=options.unread,
        agent=options.agent,
        others=not stated and not options.only_keys,
        defaults=not stated and options.default_keys,
    )
