"""Where each host is, as its target and OpenSSH's configuration say. Connects to no host."""

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
    """Which keys may be shown to a host.

    Attributes:
        files: private or public keys, in the order they are tried.
        certificates: files; each is shown with the key that it is of.
        unread: where more keys are that are not read here, and what to do.
        agent: the socket of the SSH agent; "" for none.
        others: whether every key of the agent is tried, not only those of `files`.
        defaults: whether the files are only those that people usually have.
    """

    files: tuple[str, ...]
    certificates: tuple[str, ...]
    unread: tuple[str, ...]
    agent: str
    others: bool
    defaults: bool


@dataclass(frozen=True, eq=False)
class Route:
    """How one host is reached. `fabric` has host, port and user; it is not shared.

    Attributes:
        name: in the plan, or as a jump host is written.
        key_name: under which its key is kept in known_hosts files.
        jump: the host in between; the same object for all that share it.
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
        """For people: user, host and port."""
        return f"{self.fabric.user}@{self.fabric.host} port {self.fabric.port}"


@dataclass(frozen=True)
class Chart:
    """What routes are drawn from, and what was found so far.

    Attributes:
        targets: the hosts that a `jump` may name.
        found: the settings of a target, or why there are none.
        jumps: routes of jump hosts.
    """

    targets: Mapping[str, Target]
    found: dict[tuple[object, ...], Settings | UserError] = field(default_factory=dict)
    jumps: dict[tuple[object, ...], Route] = field(default_factory=dict)

    def settings(self, target: Target) -> Settings:
        """Look a target up once; from any thread.

        Raises:
            UserError: OpenSSH's configuration cannot be used.
        """
        key = (*_place(target), target.name)
        if key not in self.found:
            try:
                self.found[key] = settings(target)
            except UserError as error:
                self.found[key] = error
        found = self.found[key]
        if isinstance(found, UserError):
            raise UserError(str(found)) from found
        return found


def route(chart: Chart, target: Target, behind: tuple[str, ...] = ()) -> Route:
    """Resolve the route to one host, one at a time, so that hosts share their jump hosts.

    Raises:
        UserError: OpenSSH's configuration cannot be used, or hosts jump in a circle.
    """
    found = chart.settings(target)
    connection = fabric.Connection(
        "set below",
        user=found.user,
        port=found.port,
        gateway=False,
        config=fabric.Config(ssh_config=SSHConfig()),  # read already
        connect_kwargs={"compress": False},  # not empty: it would be one dict for all
    )
    connection.host = found.hostname  # the constructor would read `user@host:port` in it
    jump = _jump(chart, target, found, (*behind, target.name))
    return Route(
        name=target.name,
        fabric=connection,
        key_name=found.key_alias or known_name(found.hostname, found.port),
        known_hosts=_known_hosts(target, found),
        identities=_identities(target, found),
        jump=jump,
        proxy_command="" if jump else found.proxy_command,
        python=target.python,
        tcp=found.tcp,
    )


def _jump(chart: Chart, target: Target, found: Settings, behind: tuple[str, ...]) -> Route | None:
    """The route of the host in between; a chain `a,b` reaches b through a."""
    before, _, last = (target.jump or found.jump).rpartition(",")
    last = last.strip()
    if not last or last.lower() == "none":
        return None
    if last in behind:
        raise UserError(f"{' → '.join((*behind, last))}: these jump in a circle; correct `jump`")
    hop = chart.targets.get(last) or _hop(chart, target, last)
    hop = replace(hop, jump=before or hop.jump)
    key = (*_place(hop), hop.jump)
    if key not in chart.jumps:
        chart.jumps[key] = route(chart, hop, behind)
    return chart.jumps[key]


def _hop(chart: Chart, target: Target, written: str) -> Target:
    """Make a target of a jump host; it takes identity and known hosts of the one behind it."""
    try:
        at = address.parse(written)
    except ValueError as error:
        raise UserError(f"{target.name}: jump host {written!r} {error}") from error
    hop = Target(written, at.host, at.user, at.port, known_hosts=target.known_hosts)
    named = target.identity is not None and not chart.settings(hop).usual_keys
    return hop if named else replace(hop, identity=target.identity)


def _place(target: Target) -> tuple[object, ...]:
    jump = target.jump is not None
    return (target.address, target.user, target.port, target.identity, target.known_hosts, jump)


def _known_hosts(target: Target, found: Settings) -> KnownFiles:
    if target.known_hosts is not None:
        files: tuple[str, ...] = (str(at_home_here(target.known_hosts)),)
        return KnownFiles(files, _first_written(files))
    files = (*found.user_files, *found.global_files)
    return KnownFiles(files, _first_written(found.user_files), found.unlike)


def _first_written(files: Sequence[str]) -> str:
    return next((file for file in files if not is_special(Path(file))), "")


def _identities(target: Target, found: Settings) -> Identities:
    stated = target.identity is not None
    return Identities(
        files=(str(at_home_here(target.identity)),) if target.identity else found.keys,
        certificates=found.certificates,
        unread=found.unread,
        agent=found.agent,
        others=not stated and not found.only_keys,
        defaults=not stated and found.usual_keys,
    )
