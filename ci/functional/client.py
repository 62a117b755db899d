"""Send raw HTTP requests to an endpoint, and keep every piece of the reply with its time."""

from __future__ import annotations

import json
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ci.errors import UserError
from ci.functional.reply import Reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx2

    from ci.functional.reply import Call

# A reply of a suite is some kilobytes; /metrics of a large deployment some megabytes.
MAX_BYTES = 32_000_000


@dataclass(frozen=True)
class Endpoint:
    """An endpoint.

    Attributes:
        root: its URL, without `/v1` and without a slash at the end.
        model: the name of the served model.
        api_key: the key that requests need; empty for none.
        ca_file: PEM file of the authorities to trust for https; empty for the system's.
        authorities: certificates in PEM to trust besides.
        server_name: the name that the server's certificate has, if it is not that of `root`.
        timeout_s: limit for one request.
    """

    root: str
    model: str
    api_key: str = ""
    ca_file: str = ""
    authorities: str = ""
    server_name: str = ""
    timeout_s: float = 120.0

    def __repr__(self) -> str:
        """Return it without the key."""
        return f"Endpoint({self.root!r}, {self.model!r})"


def root_of(base_url: str) -> str:
    """Return the root of a base URL, with or without `/v1`.

    Raises:
        UserError: it is not an http or https URL.
    """
    address = base_url.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise UserError(
            f"--base-url {base_url!r} is not a URL of a server; write e.g. http://10.0.0.1:8000"
        )
    return address.removesuffix("/v1")


def trusted(endpoint: Endpoint) -> ssl.SSLContext | bool:
    """Return what verifies an endpoint's certificate; True for the system's authorities."""
    if not endpoint.ca_file and not endpoint.authorities:
        return True
    return ssl.create_default_context(
        cafile=endpoint.ca_file or None, cadata=endpoint.authorities or None
    )


class Client:
    """Sends requests to one endpoint, several at once."""

    def __init__(self, endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
        self.endpoint = endpoint
        self._http = http

    async def send(self, call: Call, until: Callable[[bytes], bool] | None = None) -> Reply:
        """Send a request, and return the reply; an error of the network is part of it.

        Args:
            call: the request.
            until: called with all bytes so far after every piece; True hangs up.
        """
        import httpx2  # noqa: PLC0415 - takes 0.1 s

        pieces: list[tuple[float, bytes]] = []
        status, headers, error = None, {}, ""
        content = call.raw
        if content is None and call.body is not None:
            content = json.dumps(call.body).encode()
        began = time.monotonic()
        try:
            async with self._http.stream(
                call.method,
                self.endpoint.root + call.path,
                content=content,
                headers=self._headers(call),
                extensions=self._extensions,
            ) as response:
                status = response.status_code
                headers = {name.lower(): value for name, value in response.headers.items()}
                size = 0
                async for piece in response.aiter_raw():
                    pieces.append((time.monotonic() - began, piece))
                    size += len(piece)
                    if until and until(b"".join(data for _, data in pieces)):
                        error = "hung up"
                        break
                    if size > MAX_BYTES:
                        error = f"larger than {MAX_BYTES:,} bytes"
                        break
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as raised:
            error = f"{type(raised).__name__}: {raised}".rstrip(": ")
        return Reply(status, headers, tuple(pieces), time.monotonic() - began, began, error)

    @property
    def _extensions(self) -> dict[str, str]:
        name = self.endpoint.server_name
        return {"sni_hostname": name} if name and self.endpoint.root.startswith("https") else {}

    def _headers(self, call: Call) -> dict[str, str]:
        headers = {"content-type": "application/json", "accept-encoding": "identity"}
        headers |= call.headers
        key = {"right": self.endpoint.api_key, "wrong": "not-the-key", "none": ""}[call.key]
        if key:
            headers["authorization"] = f"Bearer {key}"
        return headers


async def connect(endpoint: Endpoint, parallel: int) -> AsyncIterator[Client]:
    """Yield a client with a pool of connections; for `contextlib.asynccontextmanager`."""
    import httpx2  # noqa: PLC0415 - takes 0.1 s

    # Servers close a connection that was idle for 5 s: do not send on one that is about to end.
    limits = httpx2.Limits(
        max_connections=None, max_keepalive_connections=parallel, keepalive_expiry=2.0
    )
    timeout = httpx2.Timeout(endpoint.timeout_s, connect=10.0)
    # The environment's proxies are for the internet; an endpoint is in the cluster's network.
    async with httpx2.AsyncClient(
        limits=limits, timeout=timeout, trust_env=False, verify=trusted(endpoint)
    ) as http:
        yield Client(endpoint, http)
