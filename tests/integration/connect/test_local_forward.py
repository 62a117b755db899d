"""Ports of this machine that a host's sshd connects to servers, as real bytes, ends and resets."""

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path
from queue import SimpleQueue

import pytest
from hosts_here import until

from ci.connect.local_forward import LocalForwards
from ci.connect.ssh import SshConnections
from ci.errors import ConnectionLost, InfrastructureError

pytestmark = pytest.mark.usefixtures("place")

PATIENCE_S = 20
MB = 1 << 20
NO_LINGER = struct.pack("ii", 1, 0)


@contextlib.contextmanager
def listening(serve):
    """A server that handles each connection in a thread; yields its port."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener:

        def accept():
            while True:
                try:
                    link, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=handle, args=(link,), daemon=True).start()

        def handle(link):
            with link, contextlib.suppress(OSError):
                link.settimeout(PATIENCE_S)
                serve(link)

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def rest(link):
    return b"".join(iter(lambda: link.recv(MB), b""))


def connect(port):
    return socket.create_connection(("127.0.0.1", port), PATIENCE_S)


@pytest.fixture
def forwarded(sshd, connections):
    """Forward a port through a host; returns this machine's port."""
    connection = connections().open(sshd().target("h1"))
    with LocalForwards() as forwards:
        yield lambda port: forwards.add(connection, "127.0.0.1", port)


def test_bytes_go_both_ways_and_each_side_may_end_first(forwarded):
    def serve(link):
        link.sendall(b"hello")
        link.sendall(rest(link)[::-1])

    data = os.urandom(3 * MB)
    with listening(serve) as port, connect(forwarded(port)) as link:
        assert link.recv(5) == b"hello"
        link.sendall(data)
        link.shutdown(socket.SHUT_WR)
        assert rest(link) == data[::-1]


def test_a_stream_arrives_byte_by_byte(forwarded):
    """The server sends the next byte only after the client has confirmed the last one."""

    def serve(link):
        for number in range(50):
            link.sendall(bytes([number]))
            if link.recv(1) != bytes([number]):
                return

    with listening(serve) as port, connect(forwarded(port)) as link:
        for number in range(50):
            assert link.recv(MB) == bytes([number])
            link.sendall(bytes([number]))
        assert link.recv(1) == b""


@pytest.mark.parametrize("reset", [False, True])
def test_a_server_sees_that_its_client_has_hung_up(forwarded, reset):
    ends = SimpleQueue()

    def serve(link):
        link.recv(1)
        try:
            ends.put(link.recv(1))
        except OSError as error:
            ends.put(error)

    with listening(serve) as port:
        link = connect(forwarded(port))
        link.sendall(b"x")
        if reset:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        link.close()
        end = ends.get(timeout=PATIENCE_S)
    assert end == b"" or isinstance(end, ConnectionError)


def test_a_server_that_streams_sees_that_its_client_has_hung_up(forwarded):
    ends = SimpleQueue()

    def serve(link):
        try:
            while True:
                link.sendall(bytes(1000))
        except OSError as error:
            ends.put(error)

    with listening(serve) as port:
        with connect(forwarded(port)) as link:
            link.recv(1)
        assert isinstance(ends.get(timeout=PATIENCE_S), ConnectionError)


def test_a_client_sees_that_its_server_has_hung_up(forwarded):
    with (
        listening(lambda link: link.sendall(b"bye")) as port,
        connect(forwarded(port)) as link,
    ):
        assert rest(link) == b"bye"


def test_a_slow_client_slows_its_server_and_nobody_else(forwarded):
    def serve(link):
        link.sendall(link.recv(1) * 20 * MB)

    with listening(serve) as port:
        own = forwarded(port)
        with connect(own) as slow:
            slow.sendall(b"a")
            with connect(own) as quick:
                quick.sendall(b"b")
                assert rest(quick) == b"b" * 20 * MB
            assert rest(slow) == b"a" * 20 * MB


def test_many_users_at_once_each_get_their_own_answer(forwarded):
    def serve(link):
        data = link.recv(100)
        if not data:  # the look at its port before it is forwarded
            return
        barrier.wait(PATIENCE_S)  # all are open at the same time
        link.sendall(data * 1000)

    def use(number):
        with connect(own) as link:
            link.sendall(b"%09d" % number)
            answers[number] = rest(link)

    count = 200
    barrier, answers = threading.Barrier(count), {}
    with listening(serve) as port:
        own = forwarded(port)
        users = [threading.Thread(target=use, args=(number,)) for number in range(count)]
        for user in users:
            user.start()
        for user in users:
            user.join(PATIENCE_S)
    assert answers == {number: b"%09d" % number * 1000 for number in range(count)}


def test_a_server_that_is_not_there_is_an_error_at_once(forwarded):
    with listening(lambda _: None) as port:
        pass
    with pytest.raises(InfrastructureError, match=f"h1: nothing accepts .* 127.0.0.1:{port} "):
        forwarded(port)


def test_a_connection_to_a_server_that_went_is_reset(forwarded):
    with listening(lambda _: None) as port:
        own = forwarded(port)
    with pytest.raises(ConnectionResetError), connect(own) as link:
        link.recv(1)


def test_an_sshd_that_forbids_it_is_named_with_the_setting(sshd, connections):
    connection = connections().open(sshd("a", "AllowTcpForwarding no").target("h1"))
    with LocalForwards() as forwards, pytest.raises(InfrastructureError) as raised:
        forwards.add(connection, "127.0.0.1", 1)
    assert str(raised.value) == (
        "h1: its sshd does not allow connections to 127.0.0.1:1; set `AllowTcpForwarding local` "
        "(or `yes`) in its sshd_config"
    )


def test_a_cut_connection_resets_its_clients_and_the_port_works_again_later(sshd, connections):
    server = sshd()
    connection = connections().open(server.target("h1"))

    def serve(link):
        link.sendall(b"begun")
        link.recv(1)

    with listening(serve) as port, LocalForwards() as forwards:
        own = forwards.add(connection, "127.0.0.1", port)
        with connect(own) as link:
            assert link.recv(5) == b"begun"
            server.kill()
            with pytest.raises(ConnectionResetError):
                link.recv(1)
        # The reset may come before the connection is complete, or after it.
        with pytest.raises(ConnectionResetError), connect(own) as link:
            link.recv(1)
        with pytest.raises(ConnectionLost):
            connection.dial("127.0.0.1", port)
        server.start()
        connection.reopen()
        with connect(own) as link:
            assert link.recv(5) == b"begun"


def test_through_a_jump_host(sshd, connections):
    gate = sshd("gate")
    jump = f"{gate.target('').user}@127.0.0.1:{gate.port}"
    connection = connections().open(sshd("behind").target("behind", jump=jump))
    with (
        listening(lambda link: link.sendall(b"here")) as port,
        LocalForwards() as forwards,
        connect(forwards.add(connection, "127.0.0.1", port)) as link,
    ):
        assert rest(link) == b"here"


def kept():
    """The threads of forwards, and the sockets of this process."""
    threads = {item for item in threading.enumerate() if item.name.startswith("forward")}
    links = set()
    for file in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            links.add(str(file.readlink()))
    return threads | {link for link in links if link.startswith("socket:")}


def test_nothing_is_left_whatever_the_connections_did(sshd):
    """One is idle, one waits for a client that does not read, one for a server that does not."""
    server = sshd()
    before = kept()
    everything_sent = threading.Event()

    def serve(link):
        kind = link.recv(1)
        if kind == b"w":
            link.sendall(bytes(50 * MB))
        everything_sent.wait(PATIENCE_S)

    with listening(serve) as port, SshConnections() as connections:
        connection = connections.open(server.target("h1"))
        with LocalForwards() as forwards:
            own = forwards.add(connection, "127.0.0.1", port)
            links = [connect(own) for _ in range(3)]
            links[0].sendall(b"i")
            links[1].sendall(b"w")
            links[2].settimeout(0)
            links[2].send(b"n")
            with contextlib.suppress(BlockingIOError):
                while True:
                    links[2].send(bytes(MB))
            assert links[1].recv(1) == bytes(1)
        everything_sent.set()
        for link in links:
            link.settimeout(PATIENCE_S)
            with contextlib.suppress(ConnectionResetError):
                rest(link)
            link.close()
        with pytest.raises(ConnectionRefusedError):
            connect(own)
        forwards.close()
    until(lambda: kept() <= before)


def test_a_connection_that_is_opened_while_the_forward_ends_is_reset(sshd, connections):
    """The host takes its time with the connection to the server."""
    connection = connections().open(sshd().target("h1"))
    asked, go_on = threading.Event(), threading.Event()

    class Slow:
        slow = False

        def dial(self, host, port):
            channel = connection.dial(host, port)
            if self.slow:
                asked.set()
                assert go_on.wait(PATIENCE_S)
            return channel

    with listening(rest) as port, LocalForwards() as forwards:
        slow = Slow()
        own = forwards.add(slow, "127.0.0.1", port)
        slow.slow = True
        with connect(own) as link:
            assert asked.wait(PATIENCE_S)
            ending = threading.Thread(target=forwards.close)
            ending.start()
            until(lambda: not forwards._acceptor.is_alive())
            go_on.set()
            ending.join(PATIENCE_S)
            assert not ending.is_alive()
            with pytest.raises(ConnectionResetError):
                link.recv(1)
