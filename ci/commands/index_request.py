"""Asks an index for a page over HTTP: bounded in size and time, whatever the server does."""

from __future__ import annotations

import queue
import ssl
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import requests

from ci.commands.index_page import ACCEPT, files_of
from ci.commands.indexes import shown
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from ci.commands.index_page import IndexFile
    from ci.commands.indexes import Index

ANOTHER = "or name another index with UV_DEFAULT_INDEX"
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """Bounds of one page.

    Attributes:
        silence_s: that the server may send nothing.
        whole_s: that the page may take, from looking up the name to its last byte.
        page_bytes: of its content, unpacked; PyPI's largest are some 10 MB.
    """

    silence_s: float = 30.0
    whole_s: float = 90.0
    page_bytes: int = 32 * 1024 * 1024


USUAL = Limits()


def fetch(
    index: Index, package: str, authorities: str, limits: Limits = USUAL
) -> tuple[IndexFile, ...] | None:
    """Get a package's page, and read it.

    Args:
        index: that is asked.
        package: its name.
        authorities: file or folder of certificates that are trusted; empty for the usual ones.
        limits: of the answer.

    Returns:
        Its files on the page; None where the index does not have the package.

    Raises:
        InfrastructureError: it cannot be asked, refuses, or its answer is beyond a limit or is not
            the package's page.
    """
    url = index.page(package)
    if authorities and urlsplit(url).scheme == "https":
        _check_authorities(authorities)
    outcomes: queue.SimpleQueue[tuple[IndexFile, ...] | Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            outcomes.put(_ask(index, package, authorities, limits))
        except Exception as error:  # noqa: BLE001 - raised below
            outcomes.put(error)

    # No timeout of a socket bounds a server that sends a byte now and then, a slow name server, or
    # HTML that takes its reader the square of its size.
    threading.Thread(target=ask, daemon=True, name=f"page of {package}").start()
    try:
        outcome = outcomes.get(timeout=limits.whole_s)
    except queue.Empty:
        raise InfrastructureError(
            f"the package index did not send a page that can be read within {limits.whole_s:g} s: "
            f"{shown(url)}; try again, {ANOTHER}"
        ) from None
    if isinstance(outcome, OSError | ValueError | HTTPException):  # requests' errors are OSErrors
        raise _unreached(url, outcome)
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _ask(
    index: Index, package: str, authorities: str, limits: Limits
) -> tuple[IndexFile, ...] | None:
    url = index.page(package)
    with requests.get(
        url,
        headers={"Accept": ACCEPT},
        auth=index.credentials,
        timeout=limits.silence_s,
        verify=authorities or True,
        stream=True,
    ) as reply:
        if reply.status_code == HTTPStatus.NOT_FOUND:
            return None
        if reply.status_code != HTTPStatus.OK:
            raise InfrastructureError(
                f"the package index refused {shown(url)}: {_status(reply.status_code)}; see its "
                f"credentials, {ANOTHER}"
            )
        body = _body(reply, url, limits.page_bytes)
    try:
        return files_of(body, reply.headers.get("Content-Type", ""), package)
    except InfrastructureError as error:
        moved = urlsplit(reply.url).hostname != urlsplit(url).hostname
        by = f" (answered by {shown(reply.url)})" if moved else ""
        raise InfrastructureError(
            f"the package index {shown(url)}{by}: {error}; see what it answers in a browser, "
            f"{ANOTHER}"
        ) from error


def _body(reply: requests.Response, url: str, most_bytes: int) -> bytes:
    body = bytearray()
    for piece in reply.iter_content(PIECE_BYTES):
        body += piece
        if len(body) > most_bytes:
            raise InfrastructureError(
                f"the package index sent more than {most_bytes} bytes for {shown(url)}, which is "
                f"not a package's page; see what answers there, {ANOTHER}"
            )
    return bytes(body)


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _unreached(url: str, error: Exception) -> InfrastructureError:
    """Say it by the kind of the error: its text has the URL, which may hold credentials."""
    advice = "see that this machine reaches it"
    if isinstance(error, requests.exceptions.SSLError):
        advice = "name the certificates that it needs with SSL_CERT_FILE"
    return InfrastructureError(
        f"the package index cannot be asked: {shown(url)}: {type(error).__name__}; {advice}, "
        f"{ANOTHER}"
    )


def _check_authorities(path: str) -> None:
    try:
        folder = Path(path).is_dir()
        ssl.create_default_context(capath=path if folder else None, cafile=None if folder else path)
    except (OSError, ValueError) as error:
        why = getattr(error, "reason", None) or getattr(error, "strerror", None)
        raise InfrastructureError(
            f"SSL_CERT_FILE, PIP_CERT, REQUESTS_CA_BUNDLE or pip's cert: {path!r} is no file of "
            f"certificates: {why or type(error).__name__}; correct it, or unset it"
        ) from error
