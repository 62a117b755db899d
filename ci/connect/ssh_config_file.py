"""Read ~/.ssh/config without an OpenSSH client: plain lines of few keywords.

Other keywords that could change a connection are errors, with file, line and name.
"""

from __future__ import annotations

import glob
import re
from typing import TYPE_CHECKING

import paramiko

from ci.errors import UserError
from ci.paths import at_home_here

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ci.inventory.target import Target

FILES = ("~/.ssh/config", "/etc/ssh/ssh_config")
FOLLOWED = re.compile(
    """host|hostname|port|user|hostkeyalias|identityfile|certificatefile|identityagent
    |identitiesonly|proxyjump|proxycommand|userknownhostsfile|globalknownhostsfile
    |stricthostkeychecking|addressfamily|bindaddress""",
    re.VERBOSE,
)
LISTS = ("userknownhostsfile", "globalknownhostsfile")
# They do not change how a host is reached, or how keys are compared.
IGNORED = re.compile(
    """addkeystoagent|batchmode|compression|control.*|escapechar|forward.*|exitonforwardfailure
    |gssapi.*|hashknownhosts|ignoreunknown|local.*|loglevel|numberofpasswordprompts
    |passwordauthentication|permitlocalcommand|preferredauthentications|remote.*|requesttty
    |sendenv|serveralive.*|setenv|tcpkeepalive|updatehostkeys|visualhostkey|dynamicforward
    |connectionattempts|xauthlocation""",
    re.VERBOSE,
)
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*")
_PLAIN = re.compile(r"[^%$#\"']*")


def look_up(target: Target) -> Mapping[str, Sequence[str]]:
    """Return the configuration of a host, in the form of `ssh -G`.

    Raises:
        UserError: a file cannot be read, or needs OpenSSH's client.
    """
    text = "\nHost *\n".join(_checked(target, at_home_here(file)) for file in FILES)
    options = paramiko.SSHConfig.from_text(text).lookup(target.address)
    listed = {key: [value] if isinstance(value, str) else value for key, value in options.items()}
    if target.jump is not None:
        listed = {key: listed[key] for key in listed if key not in {"proxyjump", "proxycommand"}}
    return {key: value[0].split() if key in LISTS else value for key, value in listed.items()}


def _checked(target: Target, file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {file}: {error}; correct it") from error
    for problem in _problems(text, file.parent):
        raise UserError(
            f"{target.name}: {file}:{problem}, and this machine has no OpenSSH client; install "
            "it (openssh-client), or write address, user, port, identity and known_hosts of the "
            "host into the cluster file",
        )
    return text


def _problems(text: str, folder: Path) -> Iterator[str]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            yield f"{number}: `{line.strip()}` is not a keyword and its value"
            continue
        keyword, value = match[1].lower(), match[2]
        empty_include = keyword == "include" and not glob.glob(value, root_dir=folder)  # noqa: PTH207
        if empty_include or IGNORED.fullmatch(keyword):
            continue
        if not FOLLOWED.fullmatch(keyword):
            yield f"{number}: {match[1]} is followed only by OpenSSH's client"
        elif not _PLAIN.fullmatch(value) or (keyword == "port" and not value.isdigit()):
            yield f"{number}: the value of {match[1]} is read only by OpenSSH's client"
