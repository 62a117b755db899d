"""What a host gets through its tunnel, and what it does not: asked by real hosts, over real SSH."""

from __future__ import annotations

import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from lab_fixture import ssh

from ci.connect.ssh import SshConnections
from ci.inventory.cluster_file import load
from ci.lab import faults
from ci.prepare.index_proxy import IndexProxy
from ci.prepare.wheel_folder import LINKS, name_of, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ci.lab.model import Lab

# Asks as pip and uv do: through the proxy that the environment names, which comes on stdin.
ASK = """
import json, sys, urllib.request, urllib.error
proxy, url, headers = json.load(sys.stdin)
opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
try:
    with opener.open(urllib.request.Request(url, headers=headers), timeout=120) as reply:
        print(json.dumps([reply.status, reply.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
except OSError as error:
    print(json.dumps([0, str(error)]))
"""


@pytest.fixture(scope="module")
def lab(labs: Callable[..., Lab]) -> Lab:
    return labs(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadingHTTPServer]:
    """An index that only this machine can reach."""
    folder = tmp_path_factory.mktemp("index")
    (folder / "page").write_text("here it is\n")
    (folder / "large").write_text("0123456789" * 300_000)
    handler = partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Tunnel:
    def __init__(self, lab: Lab, proxy: IndexProxy, port: int) -> None:
        self.lab, self.proxy, self.port = lab, proxy, port

    def ask(self, url: str, proxy: str = "", **headers: str) -> tuple[int, str]:
        """What a process on the host gets."""
        asked = json.dumps([proxy or self.proxy.url(self.port), url, headers])
        command = f"printf %s '{asked}' | python3 -ISc '{ASK}'"
        ended = ssh(self.lab, self.lab.hosts[0].name, command)
        assert ended.returncode == 0, ended.stderr
        status, text = json.loads(ended.stdout)
        return status, text


@pytest.fixture
def tunnel(lab: Lab, server: ThreadingHTTPServer, tmp_path: Path) -> Iterator[Tunnel]:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "tiny-1.0-py3-none-any.whl").write_text("0123456789")
    (wheels / "secret.txt").write_text("not a wheel")
    proxy = IndexProxy(
        frozenset({("127.0.0.1", server.server_port), ("127.0.0.1", 1)}), {name_of(wheels): wheels}
    )
    with SshConnections() as connections:
        connection = connections.open(load(lab.cluster_file)[0])
        port = connection.forward(proxy.take)
        yield Tunnel(lab, proxy, port)
        proxy.close()
        connection.unforward(port)


def test_an_index_that_only_the_controller_reaches(tunnel, server):
    url = f"http://127.0.0.1:{server.server_port}"
    assert tunnel.ask(f"{url}/page") == (200, "here it is\n")
    status, text = tunnel.ask(f"{url}/large")
    assert (status, len(text)) == (200, 3_000_000)
    assert tunnel.ask(f"{url}/absent")[0] == 404


def test_https_is_forwarded_without_reading_it(tunnel, server):
    # No TLS is spoken there: that the handshake fails at the far end proves that it came there.
    status, text = tunnel.ask(f"https://127.0.0.1:{server.server_port}/page")
    assert status == 0
    assert "SSL" in text
    assert tunnel.proxy.refused == set()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_other_host_or_port_of_the_controllers_network(tunnel, scheme):
    status, text = tunnel.ask(f"{scheme}://127.0.0.1:22/")
    assert "403" in f"{status} {text}"
    assert tunnel.proxy.refused == {"127.0.0.1:22"}


def test_an_unreachable_target_is_reported(tunnel):
    status, text = tunnel.ask("http://127.0.0.1:1/")
    assert status == 502
    assert "the controller cannot reach 127.0.0.1:1" in text


@pytest.mark.parametrize("word", ["", "lamplighter:guess@"])
def test_the_password_is_required(tunnel, server, word):
    bare = f"http://{word}127.0.0.1:{tunnel.port}"
    status, _ = tunnel.ask(f"http://127.0.0.1:{server.server_port}/page", bare)
    assert status == 407
    assert tunnel.ask(f"{LINKS}", bare)[0] == 407


def test_a_folder_of_wheels(tunnel, tmp_path):
    folder = url_of(tmp_path / "wheels")
    status, page = tunnel.ask(folder)
    assert status == 200
    assert 'href="tiny-1.0-py3-none-any.whl"' in page
    assert "secret" not in page
    wheel = f"{folder}tiny-1.0-py3-none-any.whl"
    assert tunnel.ask(wheel) == (200, "0123456789")
    assert tunnel.ask(wheel, Range="bytes=2-4") == (206, "234")
    assert tunnel.ask(wheel, Range="bytes=-3") == (206, "789")
    assert tunnel.ask(wheel, Range="bytes=7-") == (206, "789")
    assert tunnel.ask(wheel, Range="bytes=20-")[0] == 416
    for elsewhere in ("secret.txt", "../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "absent.whl"):
        assert tunnel.ask(folder + elsewhere)[0] == 404


def test_it_ends_with_its_tunnel(lab, server):
    proxy = IndexProxy(frozenset({("127.0.0.1", server.server_port)}), {})
    with SshConnections() as connections:
        connection = connections.open(load(lab.cluster_file)[0])
        port = connection.forward(proxy.take)
        tunnel = Tunnel(lab, proxy, port)
        url = f"http://127.0.0.1:{server.server_port}/page"
        assert tunnel.ask(url)[0] == 200
        connection.unforward(port)
        assert "refused" in tunnel.ask(url)[1]


@pytest.mark.usefixtures("as_root")
def test_it_comes_back_with_the_connection(lab, server):
    proxy = IndexProxy(frozenset({("127.0.0.1", server.server_port)}), {})
    url = f"http://127.0.0.1:{server.server_port}/page"
    with SshConnections() as connections:
        connection = connections.open(load(lab.cluster_file)[0])
        tunnel = Tunnel(lab, proxy, connection.forward(proxy.take))
        assert tunnel.ask(url)[0] == 200
        faults.restart_sshd(lab, lab.hosts[0].name, kill_sessions=True)
        assert "refused" in tunnel.ask(url)[1]
        connection.reopen()
        assert tunnel.ask(url)[0] == 200
