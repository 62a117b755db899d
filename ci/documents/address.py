"""Parse and write addresses, `[user@]host[:port]`, and base URLs. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_V4 = re.compile(r"[0-9]+(\.[0-9]+)+")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?")
_WRITTEN = re.compile(
    r"(?:(?P<user>[^@]*)@)?(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^@\[\]]*?))(?P<port>:\d*)?"
)
MAX_PORT = 65535
MAX_HOST_CHARS = 253  # of a name in DNS
_MAX_FILE_CHARS = 255  # the run's record has a folder for each host: its name, or name-port


@dataclass(frozen=True)
class HostAddress:
    """`[user@]host[:port]`, where `host` is an alias of ~/.ssh/config, a name or an IP address."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        before = f"{self.user}@" if self.user else ""
        return before + (host_port(self.host, self.port) if self.port else self.host)


def host_port(host: str, port: int | str) -> str:
    """Write `host:port`, an IPv6 address in brackets."""
    return f"{bracketed(host)}:{port}"


def url_of(host: str, port: int, scheme: str = "http") -> str:
    """Write the base URL of a server, without a path."""
    return f"{scheme}://{host_port(host, port)}"


def is_host(text: str) -> bool:
    """Return whether a URL may have this host: a name, or an IP address without a zone."""
    return bool(_NAME.fullmatch(text)) or (is_v6(text) and "%" not in text)


def bracketed(host: str) -> str:
    """Put an IPv6 address in brackets, as before a port or in a URL; return others unchanged."""
    return f"[{host}]" if ":" in host else host


def parse(text: str) -> HostAddress:
    """Read `host`, `user@host`, `host:port`, `fd00::2` or `[fd00::2]:port`.

    Raises:
        ValueError: it is none of these; the message follows the text, e.g. `is not a host …`.
    """
    plain_v6 = text.rpartition("@")[2]
    if plain_v6.count(":") > 1 and "[" not in plain_v6:
        text = text.removesuffix(plain_v6) + f"[{plain_v6}]"
    match = _WRITTEN.fullmatch(text)
    if match is None:
        raise ValueError("is not a host name or address")
    if match["v6"] is not None and not is_v6(match["v6"]):
        raise ValueError(f"{match['v6']} is not an IPv6 address")
    host = match["v6"] or match["host"]
    if match["v6"] is None and not _NAME.fullmatch(host):
        raise ValueError("is not a host name or address")
    if match["v6"] is None and _V4.fullmatch(host) and not is_v4(host):
        raise ValueError("is not an IPv4 address")
    if len(host) > MAX_HOST_CHARS or len(host) + len(match["port"] or "") > _MAX_FILE_CHARS:
        raise ValueError(f"is too long; a host name has at most {MAX_HOST_CHARS} characters")
    if match["user"] is not None and not _USER.fullmatch(match["user"]):
        raise ValueError("has no valid user name before its '@'")
    return HostAddress(host, match["user"], _port(match["port"]))


def _port(text: str | None) -> int | None:
    if text is None:
        return None
    if not text[1:] or not 0 < int(text[1:]) <= MAX_PORT:
        raise ValueError(f"ends in {text}, which is not a port (1 to {MAX_PORT})")
    return int(text[1:])


def is_v4(text: str) -> bool:
    """Return whether a text is an IPv4 address."""
    return _parses(IPv4Address, text)


def is_v6(text: str) -> bool:
    """Return whether a text is an IPv6 address."""
    return _parses(IPv6Address, text)


def _parses(kind: type[IPv4Address | IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True
