"""A stand-in for the hubs: files of folders, over the paths that their clients ask.

It answers what these were seen to ask for on 2026-11-26:

- huggingface_hub 2.4: `/api/models/NAME/revision/R` and `…/tree/COMMIT` (and `/api/datasets/…`),
  `/NAME/resolve/COMMIT/FILE` with HEAD, GET and Range;
- modelscope 1.40: `/api/v1/models/NAME/repo/files` (`/api/v1/datasets/NAME/repo/tree`), and
  `…/repo?FilePath=FILE` with GET and Range.
"""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves `root/OWNER/NAME/**`; `asked` lists every request: method, path, Range.

    The path of a file of ModelScope has its name at its end, as that of Hugging Face.

    Attributes:
        cut: file name → bytes after which its first download breaks off.
        hubs: the hubs whose paths it answers.
    """

    daemon_threads = True

    def __init__(self, root: Path, host: str = "127.0.0.1") -> None:
        super().__init__((host, 0), _Handler)
        self.root = root
        self.asked: list[tuple[str, str, str]] = []
        self.cut: dict[str, int] = {}
        self.hubs = ("huggingface", "modelscope")

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
        parts = urlsplit(self.path)
        path, query = unquote(parts.path).strip("/"), dict(parse_qsl(parts.query))
        modelscope = path.startswith("api/v1/")
        wanted = self.headers.get("Range") or ""
        self.server.asked.append(
            (self.command, "/".join((path, query.get("FilePath", ""))).rstrip("/"), wanted)
        )
        if ("modelscope" if modelscope else "huggingface") not in self.server.hubs:
            self._send(404, b"", {})
        elif modelscope:
            self._answer_modelscope(path, query, with_body=with_body)
        elif path.startswith("api/"):
            self._describe(path)
        else:
            name, _, rest = path.removeprefix("datasets/").partition("/resolve/")
            self._send_file(self.server.root / name / rest.partition("/")[2], with_body=with_body)

    def _answer_modelscope(self, path: str, query: dict[str, str], *, with_body: bool) -> None:
        name, _, rest = path.split("/", 3)[-1].partition("/repo")
        folder = self.server.root / name
        if query.get("FilePath"):
            self._send_file(folder / query["FilePath"], with_body=with_body)
        elif rest in {"/files", "/tree"} and folder.is_dir():
            files = [
                {
                    "Path": file,
                    "Name": Path(file).name,
                    "Type": "blob",
                    "Size": size,
                    "Sha256": sum_,
                }
                for file, size, sum_ in _listed(folder)
            ]
            self._send_json({"Code": 200, "Success": True, "Data": {"Files": files}})
        else:
            self._send(404, b'{"Code": 10010205001, "Message": "not found"}', {})

    def _send_file(self, file: Path, *, with_body: bool) -> None:
        wanted = self.headers.get("Range") or ""
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
        files = _listed(folder)
        described: object = [
            {"type": "file", "path": file, "size": size, "oid": sum_} for file, size, sum_ in files
        ]
        if not tree:
            siblings = [
                {
                    "rfilename": file,
                    "size": size,
                    "lfs": {"sha256": sum_, "size": size, "pointerSize": 134},
                }
                for file, size, sum_ in files
            ]
            described = {"id": name, "sha": COMMIT, "siblings": siblings, "tags": []}
            described["cardData"] = {"license": "mit"}
        self._send_json(described)

    def _send_json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

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


def _listed(folder: Path) -> list[tuple[str, int, str]]:
    """Return name, bytes and digest of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        (
            path.relative_to(folder).as_posix(),
            path.stat().st_size,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in files
    ]


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
