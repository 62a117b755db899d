"""A page of an index comes whole and within bounds, or is an error; the index is a real socket."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from ci.commands.index_page import IndexFile
from ci.commands.index_request import Limits, fetch
from ci.commands.indexes import Index
from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
PAGE = OK + b"\r\n<a href=vllm-0.34.0.tar.gz>"
FILES = (IndexFile("vllm-0.34.0.tar.gz"),)
LIMITS = Limits(silence_s=5.0, whole_s=1.0, page_bytes=100_000)
PATIENT = Limits(silence_s=30.0, whole_s=30.0, page_bytes=100_000)


class Server:
    """Answers each connection with `pieces`, and ends when the test does."""

    def __init__(self, pieces: Iterator[bytes], pause_s: float) -> None:
        self._pieces, self._pause_s = pieces, pause_s
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.index = Index(f"http://me:s3cret@127.0.0.1:{self._socket.getsockname()[1]}/simple")
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            caller, _ = self._socket.accept()
            with caller:
                caller.recv(65536)
                for piece in self._pieces:
                    caller.sendall(piece)
                    if self._over.wait(self._pause_s):
                        break

    def close(self) -> None:
        self._over.set()
        self._socket.close()
        self._thread.join()
        for thread in threading.enumerate():
            if thread.name == "page of vllm":
                thread.join()


@pytest.fixture
def serve():
    servers = []

    def start(*pieces: bytes, pause_s: float = 0.0, endless: bytes = b"") -> Index:
        def all_pieces() -> Iterator[bytes]:
            yield from pieces
            while endless:
                yield endless

        servers.append(Server(all_pieces(), pause_s))
        return servers[-1].index

    yield start
    for server in servers:
        server.close()


@pytest.fixture(autouse=True)
def direct(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")


def test_a_page_comes_as_it_is(serve):
    index = serve(PAGE)
    assert fetch(index, "vllm", "", PATIENT) == FILES


def test_a_package_that_is_not_there_is_none(serve):
    index = serve(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert fetch(index, "vllm", "", PATIENT) is None


BOMB = gzip.compress(bytes(10_000_000))


@pytest.mark.parametrize(
    ("pieces", "endless"),
    [
        ((OK + b"\r\n",), bytes(50_000)),
        ((OK + b"Content-Length: 1000000000\r\n\r\n",), bytes(50_000)),
        ((OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB), BOMB), b""),
    ],
)
def test_a_page_of_any_size_is_read_to_a_bound(serve, pieces, endless):
    index = serve(*pieces, endless=endless)
    with pytest.raises(InfrastructureError, match="more than 100000 bytes") as refused:
        fetch(index, "vllm", "", PATIENT)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    "pieces", [(), (b"HTTP/1.1 200 OK\r\nX: ",), (OK + b"\r\n",), (OK + b"X: ",)]
)
def test_a_server_that_trickles_is_left_at_the_deadline(serve, pieces):
    index = serve(*pieces, endless=b"x", pause_s=0.05)
    with pytest.raises(InfrastructureError, match="a readable page within 1 s") as refused:
        fetch(index, "vllm", "", LIMITS)
    assert "s3cret" not in str(refused.value)


def test_a_page_that_takes_too_long_to_read_is_left_at_the_deadline(serve, monkeypatch):
    over = threading.Event()
    monkeypatch.setattr("ci.commands.index_request.files_of", lambda *_: over.wait() and None)
    with pytest.raises(InfrastructureError, match="within 1 s"):
        fetch(serve(PAGE), "vllm", "", LIMITS)
    over.set()


def test_who_answers_in_the_place_of_an_index_is_named(serve):
    portal = serve(OK + b"\r\n<title>Hotel</title>")
    url = portal.url.replace("127.0.0.1", "localhost").encode()
    index = serve(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + url + b"\r\n\r\n")
    with pytest.raises(InfrastructureError, match="reply from http://localhost:") as refused:
        fetch(index, "vllm", "", PATIENT)
    assert "login page" in str(refused.value)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "ConnectionError"),
        (b"\xff\x00\r\n\r\n", "ConnectionError"),
        (OK + b"Content-Length: 100\r\n\r\nhalf", "ChunkedEncodingError"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "ChunkedEncodingError"),
        (OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\npage", "ContentDecodingError"),
        (b"HTTP/1.1 302 F\r\nLocation: file:///etc/passwd\r\n\r\n", "InvalidSchema"),
        (b"HTTP/1.1 302 F\r\nLocation: http://[\r\n\r\n", "cannot be reached"),
        (b"HTTP/1.1 302 \x1b[2J\r\n\r\n", "302 Found"),
        (b"HTTP/1.1 666 \x1b[2J\r\n\r\n", "666;"),
    ],
)
def test_an_answer_that_is_broken_is_an_error(serve, answer, words):
    with pytest.raises(InfrastructureError) as refused:
        fetch(serve(answer), "vllm", "", PATIENT)
    message = str(refused.value)
    assert words in message
    assert "name another index with UV_DEFAULT_INDEX" in message
    assert "s3cret" not in message
    assert message.isprintable()


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"\xff\x00"])
def test_certificates_that_cannot_be_read_are_an_error(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InfrastructureError, match="file or folder of certificates") as refused:
        fetch(Index("https://127.0.0.1:9/simple"), "vllm", str(file), PATIENT)
    assert str(file) in str(refused.value)


def test_certificates_do_not_matter_to_plain_http(serve, tmp_path):
    index = serve(PAGE)
    assert fetch(index, "vllm", str(tmp_path / "none"), PATIENT) == FILES
