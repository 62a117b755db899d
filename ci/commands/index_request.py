"""Request a page of an index over HTTP, with limits on size and time."""

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
from ci.commands.indexes import display_url
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from ci.commands.index_page import IndexFile
    from ci.commands.indexes import Index

OR_ANOTHER = "or name another index with UV_DEFAULT_INDEX"
PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Limits:
    """Limits for one page.

    Attributes:
        silence_s: seconds without any data from the server.
        whole_s: seconds for the whole page, from the name lookup to the last byte.
        page_bytes: size of the uncompressed content; PyPI's largest pages are about 10 MB.
    """

    silence_s: float = 30.0
    whole_s: float = 90.0
    page_bytes: int = 32 * 1024 * 1024


DEFAULT_LIMITS = Limits()


def fetch(
    index: Index, package: str, authorities: str, limits: Limits = DEFAULT_LIMITS
) -> tuple[IndexFile, ...] | None:
    """Request a package's page and parse it.

    Args:
        index: the index.
        package: name of the package.
        authorities: file or folder of trusted certificates; empty for the default ones.
        limits: limits for the page.

    Returns:
        The package's files on the page; None if the index does not have the package.

    Raises:
        InfrastructureError: the index cannot be reached or refuses, or its reply exceeds a limit or
            is not the package's page.
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

    # A socket timeout does not limit a server that sends a byte now and then, a slow name server,
    # or HTML whose parsing takes quadratic time.
    threading.Thread(target=ask, daemon=True, name=f"page of {package}").start()
    try:
        outcome = outcomes.get(timeout=limits.whole_s)
    except queue.Empty:
        raise InfrastructureError(
            f"the package index did not send a readable page within {limits.whole_s:g} s: "
            f"{display_url(url)}; try again, {OR_ANOTHER}"
        ) from None
    if isinstance(outcome, OSError | ValueError | HTTPException):  # requests' errors are OSErrors
        raise _unreachable(url, outcome)
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
                f"the package index refused {display_url(url)}: {_status(reply.status_code)}; "
                f"check its credentials, {OR_ANOTHER}"
            )
        body = _body(reply, url, limits.page_bytes)
    try:
        return files_of(body, reply.headers.get("Content-Type", ""), package)
    except InfrastructureError as error:
        moved = urlsplit(reply.url).hostname != urlsplit(url).hostname
        by = f" (reply from {display_url(reply.url)})" if moved else ""
        raise InfrastructureError(
            f"the package index {display_url(url)}{by}: {error}; open it in a browser, {OR_ANOTHER}"
        ) from error


def _body(reply: requests.Response, url: str, max_bytes: int) -> bytes:
    body = bytearray()
    for piece in reply.iter_content(PIECE_BYTES):
        body += piece
        if len(body) > max_bytes:
            raise InfrastructureError(
                f"the package index sent more than {max_bytes} bytes for {display_url(url)}, too "
                f"much for a package's page; open it in a browser, {OR_ANOTHER}"
            )
    return bytes(body)


def _status(code: int) -> str:
    try:
        return f"{code} {HTTPStatus(code).phrase}"
    except ValueError:
        return str(code)


def _unreachable(url: str, error: Exception) -> InfrastructureError:
    """Describe the error by its type: its text has the URL, which may contain credentials."""
    advice = "check the network of this machine"
    if isinstance(error, requests.exceptions.SSLError):
        advice = "set SSL_CERT_FILE to the certificates that it needs"
    return InfrastructureError(
        f"the package index cannot be reached: {display_url(url)}: {type(error).__name__}; "
        f"{advice}, {OR_ANOTHER}"
    )


def _check_authorities(path: str) -> None:
    try:
        folder = Path(path).is_dir()
        ssl.create_default_context(capath=path if folder else None, cafile=None if folder else path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
        raise InfrastructureError(
            f"SSL_CERT_FILE, PIP_CERT, REQUESTS_CA_BUNDLE or pip's cert: expected a file or folder "
            f"of certificates, got {path!r}: {reason or type(error).__name__}; correct or unset it"
        ) from error
