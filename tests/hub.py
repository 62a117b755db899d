"""A stand-in for the Hugging Face hub: files of folders, over the paths that its client asks.

It answers what huggingface_hub 2.4 was seen to ask for on 2026-11-26: `/api/models/NAME/revision/R`
and `…/tree/COMMIT` (and `/api/datasets/…`), `/NAME/resolve/COMMIT/FILE` with HEAD, GET and Range.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `root/OWNER/NAME/**`; `asked` lists every request: method, path, Range.

    Attributes:
        cut: file name → bytes after which its first download breaks off.
    """

    daemon_threads = True

    def __init__(self, root: Path, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.root = root
        self.asked: list[tuple[str, str, str]] = []
        self.cut: dict[str, int] = {}

    @property
    def url(self) -> str:
        return f"http://{self.server_address[0]}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, *, with_body: bool) -> None:
        path = unquote(urlsplit(self.path).path).strip("/")
        wanted = self.headers.get("Range") or ""
        self.server.asked.append((self.command, path, wanted))
        if path.startswith("api/"):
            self._describe(path)
            return
        name, _, rest = path.removeprefix("datasets/").partition("/resolve/")
        file = self.server.root / name / rest.partition("/")[2]
        if not file.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        data = file.read_bytes()
        start = int(wanted[6:].partition("-")[0]) if wanted else 0
        headers = {
            "ETag": f'"{hashlib.sha256(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        cut = self.server.cut.pop(file.name, None) if with_body else None
        body = data[start:]
        self._send(206 if wanted else 200, body, headers, with_body=with_body, cut=cut)

    def _describe(self, path: str) -> None:
        _, _, name = path.removeprefix("api/").partition("/")
        tree = "/tree/" in name
        name = name.partition("/tree/" if tree else "/revision/")[0]
        folder = self.server.root / name
        if not folder.is_dir():
            self._send(404, b'{"error": "Repository not found"}', {"X-Error-Code": "RepoNotFound"})
            return
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        described: object = [
            {
                "type": "file",
                "path": file,
                "size": (folder / file).stat().st_size,
                "oid": hashlib.sha256((folder / file).read_bytes()).hexdigest(),
            }
            for file in files
        ]
        if not tree:
            siblings = [{"rfilename": file} for file in files]
            described = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": []}
        text = json.dumps(described)
        self._send(200, text.encode(), {"Content-Type": "application/json"})

    def _send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str],
        *,
        with_body: bool = True,
        cut: int | None = None,
    ) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def hub(root: Path, host: str = "127.0.0.1") -> Iterator[Hub]:
    """Serve the folders below `root`."""
    server = Hub(root, host)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
