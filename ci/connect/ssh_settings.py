"""Read OpenSSH's configuration of a host, as OpenSSH's own client reads it (`ssh -G`)."""

from __future__ import annotations

import getpass
import os
import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from ci.connect.ssh_ask import ask
from ci.connect.ssh_socket import CONNECT_S, Tcp
from ci.errors import UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.inventory.target import Target

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
DEFAULT_KEYS = ("~/.ssh/id_rsa", "~/.ssh/id_ecdsa", "~/.ssh/id_ed25519")
SSH_PORT = 22
# Keywords that change a connection and are not implemented here, each with advice.
REFUSED = {
    "proxyusefdpass": "use a ProxyCommand that carries the data itself",
    "revokedhostkeys": "list revoked keys as @revoked lines of a known_hosts file",
    "bindinterface": "use BindAddress",
}
_TOKEN = re.compile(r"%(.?)|\$\{([^}]*)\}", re.DOTALL)


@dataclass(frozen=True)
class Settings:
    """OpenSSH's settings of a host, with absolute paths.

    Attributes:
        key_alias: the name of the host in known_hosts files; empty for its own name.
        keys: files of IdentityFile, private or public, in their order.
        default_keys: whether these are only OpenSSH's default files.
        unread: other sources of keys, which are not read, each with advice.
        agent: the socket of the SSH agent; empty for none.
        only_keys: whether the agent's other keys are not shown.
        jump: jump hosts, in the form of ProxyJump; empty for none.
        proxy_command: a command whose stdin and stdout are the connection; empty for none.
        user_files: known_hosts files of the user; the first takes new keys.
        not_followed: settings that are ignored, for the message about an unknown key.
    """

    hostname: str
    port: int
    user: str
    key_alias: str
    keys: tuple[str, ...]
    default_keys: bool
    certificates: tuple[str, ...]
    unread: tuple[str, ...]
    agent: str
    only_keys: bool
    jump: str
    proxy_command: str
    user_files: tuple[str, ...]
    global_files: tuple[str, ...]
    tcp: Tcp
    not_followed: str


def settings(target: Target) -> Settings:
    """Read the settings of a host; if its target is complete, no configuration is read.

    Raises:
        UserError: the configuration cannot be read, or has a setting that is not implemented.
    """
    options = {} if is_complete(target) else ask(target)
    try:
        return _settings(target, options)
    except ValueError as error:
        raise UserError(
            f"{target.name}: OpenSSH's configuration of {target.address}: {error}"
        ) from error


def is_complete(target: Target) -> bool:
    """Return whether the target has all settings, so that no configuration is needed."""
    wanted = (target.user, target.port, target.identity, target.known_hosts)
    try:
        ip_address(target.address)
    except ValueError:
        return False
    return None not in wanted


def _settings(target: Target, options: Mapping[str, Sequence[str]]) -> Settings:
    def first(key: str, default: str = "") -> str:
        value = options.get(key, [default])[0]
        return "" if value.lower() == "none" else value

    for key, advice in REFUSED.items():
        if first(key, "no") not in {"", "no"}:
            raise ValueError(f"{key} {first(key)} cannot be followed here; {advice}")
    tokens = _tokens(target, options)
    keys = options.get("identityfile", DEFAULT_KEYS)
    return Settings(
        hostname=first("hostname", target.address),
        port=int(tokens["p"]),
        user=tokens["r"],
        key_alias=first("hostkeyalias").lower(),
        keys=tuple(_path(file, tokens) for file in keys if file.lower() != "none"),
        default_keys=set(DEFAULT_KEYS) <= set(keys),
        certificates=tuple(_path(file, tokens) for file in options.get("certificatefile", ())),
        unread=tuple(
            f"PKCS11Provider {library}: give its keys to an agent: ssh-add -s {library}"
            for library in (first("pkcs11provider"),)
            if library
        ),
        agent=_agent(options.get("identityagent", ["SSH_AUTH_SOCK"])[0], tokens),
        only_keys=first("identitiesonly") == "yes",
        # OpenSSH puts every host with a port in brackets.
        jump=re.sub(r"\[([^:\]]*)\]", r"\1", _percent(first("proxyjump"), tokens)),
        proxy_command=_percent(first("proxycommand"), tokens),
        user_files=_files(options.get("userknownhostsfile", USER_FILES), tokens),
        global_files=_files(options.get("globalknownhostsfile", GLOBAL_FILES), tokens),
        tcp=Tcp(
            float(first("connecttimeout") or 0) or CONNECT_S,
            first("addressfamily", "any"),
            first("bindaddress"),
        ),
        not_followed=_not_followed(
            first("stricthostkeychecking", "ask"), first("knownhostscommand")
        ),
    )


def _not_followed(strict: str, command: str) -> str:
    notes = []
    if strict.lower() in {"no", "off", "false", "accept-new"}:
        strict = "no" if strict == "false" else strict  # as people write it
        notes.append(f"StrictHostKeyChecking {strict} is not followed: keys are always compared")
    if command:
        notes.append("KnownHostsCommand is not run")
    return "; ".join(notes)


def _tokens(target: Target, options: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the values of ssh_config(5)'s tokens; OpenSSH's own if its client was asked."""
    user = target.user or options.get("user", [""])[0] or getpass.getuser()
    hostname = options.get("hostname", [target.address])[0]
    port = str(target.port or options.get("port", [SSH_PORT])[0])
    alias = options.get("hostkeyalias", [target.address])[0]
    return {
        **dict(zip("CiLlu", options.get("tokens", ()), strict=False)),
        "%": "%",
        "d": str(at_home_here("~")),
        "h": hostname,
        "j": options.get("proxyjump", [""])[0],
        "k": alias,
        "n": target.address,
        "p": port,
        "r": user,
    }


def _percent(text: str, tokens: Mapping[str, str], *, variables: bool = False) -> str:
    """Expand %-tokens and, with `variables`, ${VARIABLES}.

    Raises:
        ValueError: a token or variable has no value.
    """

    def value(match: re.Match[str]) -> str:
        token, name = match.groups()
        if token is None:
            if not variables:
                return match[0]  # the shell of a ProxyCommand expands it
            token, expanded = f"${{{name}}}", os.environ.get(name)
        else:
            token, expanded = f"%{token}", tokens.get(token)
        if expanded is None:
            raise ValueError(f"{token} in {text!r} has no value here; write it out")
        return expanded

    return _TOKEN.sub(value, text)


def _path(text: str, tokens: Mapping[str, str]) -> str:
    return str(at_home_here(_percent(text, tokens, variables=True)))


def _files(listed: Sequence[str], tokens: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(_path(file, tokens) for file in listed if file.lower() != "none")


def _agent(setting: str, tokens: Mapping[str, str]) -> str:
    """Return the path of the agent's socket; `$NAME` is a variable that may be unset."""
    if setting.lower() == "none":
        return ""
    name = "$SSH_AUTH_SOCK" if setting == "SSH_AUTH_SOCK" else setting
    if re.fullmatch(r"\$\w+", name):
        return os.environ.get(name[1:], "")
    return _path(setting, tokens)
