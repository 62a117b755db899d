"""The proxy answers invalid requests, and no request keeps its connection slot."""

from __future__ import annotations

import socket
import threading
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from ci.prepare import index_proxy
from ci.prepare.index_proxy import IndexProxy
from ci.prepare.wheel_folder import LINKS, name_of

if TYPE_CHECKING:
    from pathlib import Path

PATIENCE_S = 60


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    (tmp_path / "tiny-1.0-py3-none-any.whl").write_text("0123456789")
    return tmp_path


@pytest.fixture
def proxy(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> IndexProxy:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return IndexProxy(frozenset({("127.0.0.1", 1)}), {name_of(wheels): wheels})


def authorization(proxy: IndexProxy) -> str:
    """Return the header with the proxy's password."""
    credentials = proxy.url(1).removeprefix("http://").partition("@")[0]
    return f"Proxy-Authorization: Basic {b64encode(credentials.encode()).decode()}"


def ask(proxy: IndexProxy, first: bytes, *headers: str) -> bytes:
    """Send a request and return the whole response."""
    here, there = socket.socketpair()
    with here:
        here.settimeout(PATIENCE_S)
        proxy.take(there)
        lines = "\r\n".join(["", *headers, authorization(proxy), "", ""])
        here.sendall(first + lines.encode())
        answer = b""
        while chunk := here.recv(65536):
            answer += chunk
    return answer


HUGE = "9" * 5000
TARGETS = [
    (b"GET http://127.0.0.1:port/ HTTP/1.1", b"400"),
    (b"GET http://127.0.0.1:99999/ HTTP/1.1", b"400"),
    (b"GET http://127.0.0.1:-1/ HTTP/1.1", b"400"),
    (b"GET http://[::1/ HTTP/1.1", b"400"),
    (b"GET http://[x]/ HTTP/1.1", b"400"),
    (b"GET http://127.0.0.1:\xb2/ HTTP/1.1", b"400"),
    (b"GET http://127.0.0.1:" + HUGE.encode() + b"/ HTTP/1.1", b"400"),
    (b"CONNECT 127.0.0.1:port HTTP/1.1", b"400"),
    (b"CONNECT 127.0.0.1:\xb2 HTTP/1.1", b"400"),
    (b"CONNECT 127.0.0.1:99999 HTTP/1.1", b"400"),
    (b"CONNECT 127.0.0.1:" + HUGE.encode() + b" HTTP/1.1", b"400"),
    (b"CONNECT 127.0.0.1 HTTP/1.1", b"400"),
    (b"CONNECT [::1 HTTP/1.1", b"400"),
    (b"CONNECT  HTTP/1.1", b"400"),
    (b"GET / HTTP/1.1", b"400"),
    (b"nonsense", b"400"),
    (b"CONNECT 10.0.0.1:443 HTTP/1.1", b"403"),
]


@pytest.mark.parametrize(("first", "status"), TARGETS, ids=range(len(TARGETS)))
def test_an_invalid_request_is_answered(proxy: IndexProxy, first: bytes, status: bytes) -> None:
    assert ask(proxy, first).split()[1] == status


@pytest.mark.parametrize("span", [f"bytes={HUGE}-", f"bytes=-{HUGE}", f"bytes=0-{HUGE}"])
def test_a_range_with_a_huge_number(proxy: IndexProxy, wheels: Path, span: str) -> None:
    first = f"GET {LINKS}{name_of(wheels)}/tiny-1.0-py3-none-any.whl HTTP/1.1"
    assert ask(proxy, first.encode(), f"Range: {span}").split()[1] in {b"200", b"416"}


@pytest.mark.parametrize(
    "setting", ["http://127.0.0.1:port", "socks5://127.0.0.1", "http://[::1", "http://h:99999"]
)
def test_a_proxy_of_this_machine_that_cannot_be_read(
    proxy: IndexProxy, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("http_proxy", setting)
    answer = ask(proxy, b"GET http://127.0.0.1:1/ HTTP/1.1")
    assert answer.split()[1] == b"502"


def test_no_request_keeps_its_slot(proxy: IndexProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_proxy, "MAX_CONNECTIONS", 1)
    died: list[object] = []
    monkeypatch.setattr(threading, "excepthook", died.append)
    for first, _ in TARGETS:
        ask(proxy, first)
        for thread in threading.enumerate():
            if thread.name == "index proxy":
                thread.join(PATIENCE_S)
    assert ask(proxy, b"CONNECT 10.0.0.1:443 HTTP/1.1").split()[1] == b"403"
    assert died == []


def test_an_internal_error_frees_its_slot(
    proxy: IndexProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(index_proxy, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with monkeypatch.context() as broken:
        broken.setattr(index_proxy, "answer", fail)
        assert ask(proxy, f"GET {LINKS} HTTP/1.1".encode()) == b""
        for thread in threading.enumerate():
            if thread.name == "index proxy":
                thread.join(PATIENCE_S)
    assert ask(proxy, b"CONNECT 10.0.0.1:443 HTTP/1.1").split()[1] == b"403"
