"""A request ends at its deadline whatever the server sends, and a cut answer is no answer."""

import socket
import threading
import time
from contextlib import contextmanager, suppress

import pytest

from ci.remote.requests.http import ask

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PATIENCE_S = 20


@contextmanager
def sending(first, repeated=b"", pause_s=0.02):
    """A server that sends the first bytes, then repeats some until the client has left."""

    def serve():
        link, _ = listener.accept()
        with link, suppress(OSError):
            link.recv(65536)
            link.sendall(first)
            end = time.monotonic() + PATIENCE_S
            while repeated and not left.wait(pause_s) and time.monotonic() < end:
                link.sendall(repeated)

    left = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/health"
        finally:
            left.set()
            thread.join()


@pytest.mark.parametrize(
    ("first", "repeated", "pause_s"),
    [
        (b"", b"H", 0.02),
        (OK + b"X: ", b"y", 0.02),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 0),
        (OK + b"Content-Length: 100000\r\n\r\n", b" ", 0.02),
        (OK + b"\r\n", b" ", 0.02),
        (CHUNKED, b"0", 0.02),
        (CHUNKED + b"1\r\n", b"x\r\n1\r\n", 0.02),
        (CHUNKED + b"0\r\n", b"X: y\r\n", 0.02),
        (CHUNKED + b"0\r\n", b"X: y\r\n" * 100, 0),
    ],
    ids=[
        *("status line", "headers", "continue", "fast continue", "body", "body without length"),
        *("chunk size", "chunks", "trailers", "fast trailers"),
    ],
)
def test_an_answer_that_never_ends(first, repeated, pause_s):
    """Each byte arrives within the timeout of a socket; only a deadline over all of them helps."""
    with sending(first, repeated, pause_s) as url:
        answer = ask("GET", url, 0.5)
    assert answer == {"status": None, "body": "", "error": "no answer within 0.5 s"}


@pytest.mark.parametrize(
    "cut",
    [
        b"HTTP/1.1 200 OK",
        OK,
        OK + b"X: y",
        OK + b"X: y\r\n",
        OK + b"Content-Length: 0\r\n",
        OK + b"Content-Length: 5\r\n\r\nfour",
        CHUNKED,
        CHUNKED + b"5\r\nfour",
        CHUNKED + b"4\r\nfour\r\n",
    ],
)
def test_an_answer_that_is_cut(cut):
    with sending(cut) as url:
        answer = ask("GET", url, PATIENCE_S)
    assert answer == {"status": None, "body": "", "error": "the answer stopped half-way"}


@pytest.mark.parametrize(
    ("whole", "body"),
    [
        (OK + b"\r\n", ""),
        (OK + b"\r\nuntil the end", "until the end"),
        (OK + b"Content-Length: 4\r\n\r\nfour", "four"),
        (CHUNKED + b"4\r\nfour\r\n0\r\n\r\n", "four"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 4\r\n\r\nfour", "four"),
    ],
)
def test_a_whole_answer(whole, body):
    with sending(whole) as url:
        assert ask("GET", url, PATIENCE_S) == {"status": 200, "body": body, "error": ""}


def test_a_connection_that_is_closed_at_once():
    with sending(b"") as url:
        answer = ask("GET", url, PATIENCE_S)
    assert answer["error"] == "the connection was closed without an answer"
