"""Offers this machine's folders of wheels as pages of links, over a connection that it is given."""

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
        """What an answer is written to."""

        def sendall(self, data: bytes, /) -> None:
            """Send all of it."""


# A reserved name that no host can have (RFC 6761); stable, so that uv's cache knows it again.
LINKS = "http://lamplighter.invalid/links/"
PIECE_BYTES = 64 * 1024
PACKAGES = (".whl", ".tar.gz", ".zip")
# No file has a size of more digits; more of them count as no range.
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def name_of(folder: Path) -> str:
    """The name that a folder is offered under."""
    return f"{zlib.crc32(str(folder).encode()):08x}"


def url_of(folder: Path) -> str:
    """Where a host finds the folder, through its tunnel."""
    return f"{LINKS}{name_of(folder)}/"


def answer(
    sink: Sink, method: str, target: str, headers: Mapping[str, str], folders: Mapping[str, Path]
) -> None:
    """Answer a request for a folder's page, or for a file in it, also for a part of one."""
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


def _send_file(sink: Sink, method: str, path: Path, asked: str) -> None:
    size = path.stat().st_size
    begin, end = _span(asked, size)
    if begin > end:
        sink.sendall(_head("416 Range Not Satisfiable", 0, f"Content-Range: bytes */{size}"))
        return
    partly = (begin, end) != (0, size - 1)
    status = "206 Partial Content" if partly else "200 OK"
    more = [f"Content-Range: bytes {begin}-{end}/{size}"] if partly else []
    sink.sendall(_head(status, end + 1 - begin, "Accept-Ranges: bytes", *more))
    if method == "HEAD":
        return
    with path.open("rb") as file:
        file.seek(begin)
        left = end + 1 - begin
        while left > 0 and (piece := file.read(min(left, PIECE_BYTES))):
            sink.sendall(piece)
            left -= len(piece)


def _span(asked: str, size: int) -> tuple[int, int]:
    """First and last byte that are asked for (RFC 9110, 14.1.2); several spans give the whole."""
    found = RANGE.fullmatch(asked)
    if not found or found.groups() == ("", ""):
        return 0, size - 1
    first, last = found.groups()
    if not first:
        return max(0, size - int(last)), size - 1
    return int(first), min(int(last), size - 1) if last else size - 1


def _head(status: str, length: int, *more: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", *more, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode()
