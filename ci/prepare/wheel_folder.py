"""Serve this machine's folders of wheels as pages of links, on a given connection."""

from __future__ import annotations

import html
import re
import zlib
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    class Sink(Protocol):
        """A stream for the response."""

        def sendall(self, data: bytes, /) -> None:
            """Send all bytes."""


# A reserved name that no host has (RFC 6761); constant, so that uv's cache recognises it.
LINKS = "http://lamplighter.invalid/links/"
CHUNK_BYTES = 64 * 1024
PACKAGES = (".whl", ".tar.gz", ".zip")
# No file size has more digits; a longer number is ignored.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def name_of(folder: Path) -> str:
    """Return the name under which a folder is served."""
    return f"{zlib.crc32(str(folder).encode()):08x}"


def url_of(folder: Path) -> str:
    """Return the URL of a folder's page, for hosts with a tunnel."""
    return f"{LINKS}{name_of(folder)}/"


def answer(
    sink: Sink, method: str, target: str, headers: Mapping[str, str], folders: Mapping[str, Path]
) -> None:
    """Respond to a request for a folder's page, or for a file in it or a part of the file."""
    name, _, file = target.removeprefix(LINKS).partition("?")[0].partition("/")
    folder = folders.get(name)
    wanted = unquote(file)
    if (
        folder is None
        or method not in {"GET", "HEAD"}
        or (wanted and wanted not in _listed(folder))
    ):
        sink.sendall(_head("404 Not Found", 0))
    elif not wanted:
        page = _page(folder)
        body = page if method == "GET" else b""
        sink.sendall(_head("200 OK", len(page), "Content-Type: text/html; charset=utf-8") + body)
    else:
        _send_file(sink, method, folder / wanted, headers.get("range", ""))


def _listed(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in folder.iterdir() if path.name.endswith(PACKAGES))
    except OSError:
        return []


def _page(folder: Path) -> bytes:
    links = (f'<a href="{quote(name)}">{html.escape(name)}</a><br>' for name in _listed(folder))
    return "\n".join(["<!DOCTYPE html><html><body>", *links, "</body></html>\n"]).encode()


def _send_file(sink: Sink, method: str, path: Path, range_header: str) -> None:
    size = path.stat().st_size
    begin, end = _span(range_header, size)
    if begin > end:
        sink.sendall(_head("416 Range Not Satisfiable", 0, f"Content-Range: bytes */{size}"))
        return
    partly = (begin, end) != (0, size - 1)
    status = "206 Partial Content" if partly else "200 OK"
    headers = [f"Content-Range: bytes {begin}-{end}/{size}"] if partly else []
    sink.sendall(_head(status, end + 1 - begin, "Accept-Ranges: bytes", *headers))
    if method == "HEAD":
        return
    with path.open("rb") as file:
        file.seek(begin)
        left = end + 1 - begin
        while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
            sink.sendall(chunk)
            left -= len(chunk)


def _span(range_header: str, size: int) -> tuple[int, int]:
    """Return the first and last byte of a range (RFC 9110, 14.1.2); the whole file for several."""
    match = RANGE.fullmatch(range_header)
    if not match or match.groups() == ("", ""):
        return 0, size - 1
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _head(status: str, length: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *more, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()
