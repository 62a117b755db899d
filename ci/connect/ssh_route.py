"""Where each host is, as its target and ~/.ssh/config say. Reads files, touches no network."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import fabric
from paramiko.ssh_exception import ConfigParseError

from ci.connect.known_hosts import known_name
from ci.errors import UserError
from ci.inventory.target import Target
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from paramiko import SSHConfig

USER_FILES = "~/.ssh/known_hosts ~/.ssh/known_hosts2"
GLOBAL_FILES = "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2"


@dataclass(frozen=True)
class Identities:
    """Which keys may be shown to a host.

    Attributes:
        files: private keys, in the order they are tried.
        agent: whether every key of the SSH agent is tried too.
        defaults: whether the files are only those that people usually have.
    """

    files: tuple[str, ...]
    agent: bool
    defaults: bool


@dataclass(frozen=True, eq=False)
class Route:
    """How one host is reached. `fabric` has host, port and user; it is not shared.

    Attributes:
        name: in the plan, or as a jump host is written.
        key_name: under which its key is kept in known_hosts files.
        known_hosts: paths; a new key would go into the first.
        jump: the host in between; the same object for all that share it.
        connect_s: how long ~/.ssh/config lets a connection take; None when it does not say.
        proxy_command: a command whose stdin and stdout are the way; "" for none.
    """

    name: str
    fabric: fabric.Connection
    key_name: str
    known_hosts: tuple[str, ...]
    identities: Identities
    jump: Route | None
    proxy_command: str
    python: str
    connect_s: float | None

    @property
    def address(self) -> str:
        """For people: user, host and port."""
        return f"{self.fabric.user}@{self.fabric.host} port {self.fabric.port}"


@dataclass(frozen=True)
class Chart:
    """What routes are drawn from, and the jump hosts drawn so far."""

    targets: Mapping[str, Target]
    config: SSHConfig
    jumps: dict[tuple[object, ...], Route] = field(default_factory=dict)


def chart(targets: Sequence[Target]) -> Chart:
    """Read ~/.ssh/config for these hosts, among which jump hosts may be named.

    Raises:
        UserError: it cannot be read.
    """
    try:
        config = fabric.Config().base_ssh_config
    except (ConfigParseError, OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read ~/.ssh/config: {error}; mend it") from error
    return Chart({target.name: target for target in targets}, config)


def route(drawn: Chart, target: Target) -> Route:
    """Draw the way to one host. One at a time: Fabric's configuration bears no threads.

    Raises:
        UserError: ~/.ssh/config says what cannot be, or hosts jump through each other in a circle.
    """
    try:
        return _route(drawn, target, ())
    except (ConfigParseError, ValueError, KeyError) as error:
        raise UserError(
            f"{target.name}: address {target.address!r} with ~/.ssh/config: {error}; mend them",
        ) from error


def _route(drawn: Chart, target: Target, behind: tuple[str, ...]) -> Route:
    connection = fabric.Connection(
        target.address,
        user=target.user,
        port=target.port,
        gateway=False,
        config=fabric.Config(ssh_config=drawn.config),
        connect_kwargs={"compress": False},  # not empty: it would be one dict for all
    )
    said = connection.ssh_config
    jump = _jump(drawn, target, connection, (*behind, target.name))
    return Route(
        name=target.name,
        fabric=connection,
        key_name=said.get("hostkeyalias") or known_name(connection.host, connection.port),
        known_hosts=_known_hosts(target, said),
        identities=_identities(target, said),
        jump=jump,
        proxy_command="" if jump or target.jump else said.get("proxycommand") or "",
        python=target.python,
        connect_s=float(said["connecttimeout"]) if "connecttimeout" in said else None,
    )


def _jump(
    drawn: Chart,
    target: Target,
    connection: fabric.Connection,
    behind: tuple[str, ...],
) -> Route | None:
    """The route of the host in between; a chain `a,b` reaches b through a."""
    before, _, last = (target.jump or connection.ssh_config.get("proxyjump") or "").rpartition(",")
    last = last.strip()
    if last in drawn.targets and last not in behind:
        hop = drawn.targets[last]
    else:
        at = fabric.connection.derive_shorthand(last)
        if not last or last.lower() == "none" or at["host"] == connection.host:
            return None  # `Host *` with ProxyJump matches the jump host too
        hop = Target(
            name=last,
            address=at["host"] or last,
            user=at["user"],
            port=at["port"],
            identity=target.identity,
            known_hosts=target.known_hosts,
        )
        if "identityfile" in drawn.config.lookup(hop.address):
            hop = replace(hop, identity=None)
    if last in behind:
        raise UserError(f"{' → '.join((*behind, last))}: these jump in a circle; mend `jump`")
    hop = replace(hop, jump=before or hop.jump)
    what = (hop.address, hop.user, hop.port, hop.identity, hop.known_hosts, hop.jump)
    if what not in drawn.jumps:
        drawn.jumps[what] = _route(drawn, hop, behind)
    return drawn.jumps[what]


def _known_hosts(target: Target, said: Mapping[str, str]) -> tuple[str, ...]:
    if target.known_hosts is not None:
        return (_expanded(target.known_hosts),)
    user = said.get("userknownhostsfile", USER_FILES)
    everybody = said.get("globalknownhostsfile", GLOBAL_FILES)
    listed = [file.strip('"') for file in f"{user} {everybody}".split()]
    return tuple(_expanded(file) for file in listed if file.lower() != "none")


def _identities(target: Target, said: Mapping[str, str | list[str]]) -> Identities:
    if target.identity is not None:
        return Identities((_expanded(target.identity),), agent=False, defaults=False)
    named = [_expanded(file) for file in said.get("identityfile", []) if file != "none"]
    usual = [_expanded(f"~/.ssh/id_{kind}") for kind in ("ed25519", "ecdsa", "rsa")]
    return Identities(
        files=tuple(named or usual),
        agent=said.get("identitiesonly") != "yes" and said.get("identityagent") != "none",
        defaults=not named,
    )


def _expanded(path: str) -> str:
    return str(at_home_here(path))
