"""Decide what may be read of a folder of runs over HTTP, and open it. Opens files.

Nothing but reports is served: no record, no log, no link, and nothing outside the folder.
"""

from __future__ import annotations

import html
import ipaddress
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from ci.history.folders import PAGES
from ci.report.pages.names import DETAILS, INDEX

# The files of a run that are for readers, and of which type they are.
TYPES = {
    "report.html": "text/html; charset=utf-8",
    "report.json": "application/json",
    "report.md": "text/plain; charset=utf-8",
    "junit.xml": "application/xml",
    "trace.json": "application/json",
    "dashboard.json": "application/json",
    "figures.csv": "text/csv; charset=utf-8",
}
_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"]*)">')
# Of a file without a policy of its own: no script at all.
_STRICT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"


@dataclass(frozen=True)
class Served:
    """A file that may be read: its path in parts below the folder of all runs, and its type."""

    parts: tuple[str, ...]
    type: str


def file_of(target: str) -> Served | None:
    """Return the file that a request is for; None if none may be read. Pure.

    Args:
        target: of the request line, e.g. `/index.html`.
    """
    try:
        path = urlsplit(target).path
        parts = tuple(unquote(part, errors="strict") for part in path.split("/")[1:])
    except ValueError:
        return None
    if parts in {("",), (INDEX,)}:
        return Served((INDEX,), TYPES["report.html"])
    if len(parts) != 2 or not all(map(_is_plain, parts)):  # noqa: PLR2004 - folder and file
        return None
    folder, name = parts
    if folder == PAGES:
        known = DETAILS.fullmatch(name)
        return Served(parts, "text/javascript; charset=utf-8") if known else None
    return Served(parts, TYPES[name]) if name in TYPES else None


def _is_plain(part: str) -> bool:
    """Return whether a part of a path is the name of one visible file or folder."""
    return bool(part) and not part.startswith(".") and not re.search(r"[/\\\x00-\x1f]", part)


def is_own_name(header: str, names: frozenset[str]) -> bool:
    """Return whether a request's `Host` is a name of this server. Pure.

    An address is always one: no name of another site is an address.

    Args:
        header: of the request.
        names: of this server, in lower case.
    """
    match = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(?::\d{1,5})?", header.strip())
    if not match:
        return False
    name = match[1].strip("[]").lower().removesuffix(".")
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return name in names


def opened_below(folder: int, parts: tuple[str, ...]) -> BinaryIO:
    """Open a regular file below a folder for reading; follow no link on the way.

    Args:
        folder: descriptor of the folder.
        parts: names of folders, and of the file.

    Raises:
        OSError: a part is missing or a link, or no regular file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    at = os.dup(folder)
    try:
        for part in parts[:-1]:
            below = os.open(part, flags | os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
        handle = os.open(parts[-1], flags | os.O_NONBLOCK | os.O_NOCTTY, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise FileNotFoundError(parts[-1])
    return os.fdopen(handle, "rb")


def policy_in(head: bytes, type_: str) -> str:
    """Return the policy that a file is sent with: that of the page itself, where it has one.

    Args:
        head: the beginning of the file.
        type_: its type.
    """
    found = _POLICY.search(head) if type_.startswith("text/html") else None
    own = html.unescape(found[1].decode("ascii", "replace")) if found else _STRICT
    clean = own if re.fullmatch(r"[\x20-\x7e]+", own) else _STRICT
    return f"{clean}; frame-ancestors 'none'"
