"""Read from the environment where metrics go, and with which credentials. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit, urlunsplit

from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "PROM_PUSHGATEWAY_URL"
USER, PASSWORD, TOKEN = (f"PROM_PUSHGATEWAY_{name}" for name in ("USER", "PASSWORD", "TOKEN"))
CA_FILE = "PROM_PUSHGATEWAY_CA_FILE"
KEEP_DAYS = "PROM_PUSHGATEWAY_KEEP_DAYS"
TEXTFILES = "PROM_TEXTFILE_DIR"
DEFAULT_KEEP_DAYS = 14
MAX_KEEP_DAYS = 3660
_FLAG = "--gateway-url"


@dataclass(frozen=True)
class Credentials:
    """What a request to the gateway is authorized with; never part of a message.

    Attributes:
        user: for a password; empty for none.
        password: of HTTP basic authentication; empty for none.
        token: of a bearer, in place of user and password; empty for none.
    """

    user: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class Gateway:
    """A pushgateway.

    Attributes:
        url: without credentials, and without a slash at its end.
        credentials: of the environment.
        ca_file: file with the authorities that verify its certificate; empty for the usual ones.
        keep_days: groups that nothing was pushed to for so many days are deleted.
    """

    url: str
    credentials: Credentials = Credentials()
    ca_file: str = ""
    keep_days: int = DEFAULT_KEEP_DAYS


def gateway_of(env: Mapping[str, str], given_url: str = "") -> Gateway | None:
    """Return the gateway of the environment; None if there is none.

    Args:
        env: the environment of this process.
        given_url: of the command line, in place of the environment's.

    Raises:
        UserError: a value is wrong; the message never has a secret.
    """
    name, written = (_FLAG, given_url) if given_url else (URL, env.get(URL, "").strip())
    if not written:
        return None
    url, user, password = _parts(name, written)
    if given_url and password:
        raise UserError(
            f"{_FLAG} has a password, and command lines are public; set {USER} and {PASSWORD} in "
            "the environment"
        )
    user, password = env.get(USER, "") or user, env.get(PASSWORD, "") or password
    token = env.get(TOKEN, "")
    if token and password:
        raise UserError(f"{TOKEN} and a password are both set; the gateway takes one: unset one")
    if any(ord(char) < ord(" ") for char in f"{user}{token}"):
        raise UserError(f"{USER} or {TOKEN} has a line break or a control character; set it again")
    return Gateway(url, Credentials(user, password, token), env.get(CA_FILE, ""), keep_days(env))


def keep_days(env: Mapping[str, str]) -> int:
    """Return after how many days without a push a group or a file is deleted.

    Raises:
        UserError: it is not a number of days.
    """
    written = env.get(KEEP_DAYS, "").strip() or str(DEFAULT_KEEP_DAYS)
    if not written.isascii() or not written.isdigit() or not 1 <= int(written) <= MAX_KEEP_DAYS:
        raise UserError(f"{KEEP_DAYS}: expected a number of days, 1 to {MAX_KEEP_DAYS}")
    return int(written)


def _parts(name: str, written: str) -> tuple[str, str, str]:
    """Return a gateway's URL without credentials, its user and its password."""
    with_scheme = written if "://" in written else f"http://{written}"
    try:
        parts = urlsplit(with_scheme)
        port = parts.port
    except ValueError:
        port = -1
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == -1:
        raise UserError(f"{name} is not the URL of a pushgateway; write e.g. http://pushgw:9091")
    if parts.query or parts.fragment:
        raise UserError(f"{name} has a query or a fragment; write e.g. http://pushgw:9091")
    host = parts.netloc.rpartition("@")[2]
    path = parts.path.rstrip("/")
    # As its interface shows it; `metrics/job/…` is added to the URL itself.
    path = path.removesuffix("/metrics")
    url = urlunsplit((parts.scheme, host, path, "", ""))
    return url, unquote(parts.username or ""), unquote(parts.password or "")
