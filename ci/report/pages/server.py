"""Serve the page of all nights and the reports of the runs over HTTP, for reading alone.

The name that a browser asked for has to be one of this server, so that no page of another site
reaches it through a name that leads here (DNS rebinding).
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.report.pages.names import INDEX
from ci.report.pages.served import file_of, is_own_name, opened_below, policy_in

if TYPE_CHECKING:
    from io import BufferedIOBase
    from pathlib import Path
    from typing import BinaryIO

MAX_PORT = 65535
# A client that sends or takes nothing for so long is left.
IDLE_S = 30.0
_HEAD_BYTES = 16 << 10
_PIECE_BYTES = 1 << 20


class ReportServer(ThreadingHTTPServer):
    """A server of one folder of runs; `serve_forever` serves it.

    Attributes:
        names: names of this server, which a request may ask for.
        folder: descriptor of the folder.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, runs: Path, host: str, port: int) -> None:
        """Listen.

        Args:
            runs: the folder of all runs.
            host: name or address to listen on.
            port: 0 for any free one.

        Raises:
            UserError: the folder does not exist, or the address cannot be used.
        """
        if not 0 <= port <= MAX_PORT:
            raise UserError(f"--port {port}: expected 0 to {MAX_PORT}; 0 is any free one")
        self.names = frozenset({"localhost", host.lower(), socket.gethostname().lower()})
        try:
            self.folder = os.open(runs, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise UserError(f"{runs}: {error.strerror}; name the folder with --runs") from None
        try:
            family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            self.address_family = family
            super().__init__((str(address[0]), int(address[1])), _Handler)
        except (OSError, OverflowError, UnicodeError) as error:
            self._close_folder()  # the library may have closed the server already
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise UserError(
                f"cannot listen on {host}, port {port}: {reason}; choose others with --host and "
                "--port"
            ) from None

    @property
    def url(self) -> str:
        """Return the address of the page of all nights."""
        host, port = self.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        return f"http://{name}:{port}/"

    def server_bind(self) -> None:
        """Bind without looking up the name of the address, which may take long."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()

    def server_close(self) -> None:
        """Stop listening."""
        super().server_close()
        self._close_folder()

    def _close_folder(self) -> None:
        folder, self.folder = self.folder, -1
        if folder >= 0:
            os.close(folder)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that went away."""


class _Handler(BaseHTTPRequestHandler):
    server: ReportServer
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "lamplighter", ""
    timeout = IDLE_S

    def do_GET(self) -> None:
        """Send a file."""
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        """Send what a file would be sent with."""
        self._answer(with_body=False)

    def _no_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "only GET and HEAD")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _no_method  # noqa: N815 - http.server's

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Refuse a request that is no HTTP, or of an unknown method, without repeating it."""
        del message, explain
        self.close_connection = True
        self._refuse(HTTPStatus(code), HTTPStatus(code).phrase)

    def _answer(self, *, with_body: bool) -> None:
        if not is_own_name(self.headers.get("Host", ""), self.server.names):
            text = "this server has another name: use its address, or give the name with --host"
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, text)
            return
        if self.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"} and (
            self.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "not for pages of other sites")
            return
        served = file_of(self.path)
        try:
            if served is None:
                raise FileNotFoundError(self.path)
            file = opened_below(self.server.folder, served.parts)
        except OSError:
            text = "no such page or report; records and logs are only in the folder of the run"
            if served and served.parts == (INDEX,):
                text = "there is no index.html yet: `inv report.index` writes it"
            self._refuse(HTTPStatus.NOT_FOUND, text)
            return
        with file:
            size = os.fstat(file.fileno()).st_size
            self._headers(
                HTTPStatus.OK, served.type, size, policy_in(file.read(_HEAD_BYTES), served.type)
            )
            if with_body:
                file.seek(0)
                with suppress(ConnectionError, TimeoutError):
                    _copy(file, size, self.wfile)

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer with a line of text; what was asked for is not repeated in it."""
        body = f"{text}\n".encode()
        # A body that was sent is not read: the next request could not be told from it.
        self.close_connection = True
        self._headers(status, "text/plain; charset=utf-8", len(body), policy_in(b"", ""))
        if self.command != "HEAD":
            self.wfile.write(body)

    def _headers(self, status: HTTPStatus, type_: str, size: int, policy: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": type_,
            "Content-Length": str(size),
            "Content-Security-Policy": policy,
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Referrer-Policy": "no-referrer",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            # A page is written again each night.
            "Cache-Control": "no-cache",
        }.items():
            self.send_header(name, value)
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the library names it
        """Log nothing: what a client asks for is no text for a terminal."""


def _copy(file: BinaryIO, size: int, out: BufferedIOBase) -> None:
    """Send as much of a file as it had: it may be written again meanwhile."""
    while size > 0 and (data := file.read(min(size, _PIECE_BYTES))):
        out.write(data)
        size -= len(data)
