"""One host listens, another connects: on this machine, and between two network namespaces."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading

import pytest
from hosts_here import held_port

from ci.remote.requests import listener, reach
from ci.remote.supervise.proc import look


@contextlib.contextmanager
def listening(address="127.0.0.1", ports=(), seconds=600):
    opened = listener.open_ports(address, list(ports), seconds)
    try:
        yield opened
    finally:
        assert listener.close_ports(opened["pid"], opened["began"])
        assert look(str(opened["pid"])) is None


@pytest.fixture
def foreign():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def free():
    with held_port() as port:
        yield port


def outcomes(targets, timeout_s=120):
    return [one["outcome"] for one in reach.reach(targets, timeout_s)]


def test_every_port_that_is_free_is_opened_and_reached(free, foreign):
    with listening(ports=[free, foreign]) as opened:
        assert opened["ports"] == [opened["ephemeral"], free]
        assert list(opened["taken"]) == [str(foreign)]
        targets = [("127.0.0.1", port, opened["greeting"]) for port in opened["ports"]]
        assert outcomes(targets * 300) == ["ok"] * 600
    assert outcomes(targets) == ["refused", "refused"]
    # Nothing of it keeps a server from this port.
    with socket.create_server(("127.0.0.1", free), reuse_port=False):
        pass


def test_somebody_else_is_told_from_ours(foreign):
    with listening() as opened:
        targets = [("127.0.0.1", opened["ephemeral"], "another word"), ("127.0.0.1", foreign, "x")]
        assert outcomes(targets, 3) == ["other", "other"]


def test_a_name_that_means_nothing_is_unreachable():
    (answer,) = reach.reach([("no-such-host.invalid", 1, "x")], 5)
    assert answer["outcome"] == "unreachable"
    assert answer["detail"]


def test_an_address_that_is_not_ours_cannot_be_listened_on():
    with pytest.raises(OSError, match="assign requested address"):
        listener.open_ports("192.0.2.77", [], 5)


def test_a_name_is_not_looked_up_to_listen_on():
    with pytest.raises(OSError, match="address"):
        listener.open_ports("localhost", [], 5)


def test_who_takes_the_connection_and_says_nothing_is_somebody_else(foreign):
    (answer,) = reach.reach([("127.0.0.1", foreign, "x")], 3)
    assert answer == {"outcome": "other", "detail": "it accepted the connection and sent nothing"}


def test_who_hangs_up_is_somebody_else():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            caller, _ = server.accept()
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            caller.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        (answer,) = reach.reach([("127.0.0.1", server.getsockname()[1], "x")], 10)
        thread.join()
    assert answer == {"outcome": "other", "detail": "it hung up: Connection reset by peer"}


def test_a_listener_ends_by_itself():
    opened = listener.open_ports("127.0.0.1", [], 0.05)
    _, status = os.waitpid(opened["pid"], 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    assert listener.close_ports(opened["pid"], opened["began"])


def test_what_only_has_the_same_pid_is_not_ended():
    seen = look(str(os.getpid()))
    assert listener.close_ports(os.getpid(), seen.began + 1)


def run_in(name, code):
    """Run the remote code in a network namespace, as the agent does: in a child that answers."""
    imports = "import json\nfrom ci.remote.requests import listener, reach"
    text = f"{imports}\nprint(json.dumps({code}), flush=True)"
    done = subprocess.run(
        ["ip", "netns", "exec", name, sys.executable, "-c", text],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return json.loads(done.stdout)


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


@pytest.fixture
def two_hosts(as_root):
    """Two network namespaces with a wire between them: 10.77.0.1 and 10.77.0.2."""
    left, right = (f"lamp-{os.getpid()}-{side}" for side in "ab")
    try:
        for name in (left, right):
            ip("netns", "add", name)
        ip(*f"-n {left} link add wire type veth peer name wire netns {right}".split())
        for number, name in enumerate((left, right), 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", "wire")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "wire", "up")
        yield left, right
    finally:
        for name in (left, right):
            pids = subprocess.run(
                ["ip", "netns", "pids", name], check=False, capture_output=True, text=True
            )
            for pid in pids.stdout.split():
                os.kill(int(pid), 9)
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def test_between_two_hosts(two_hosts):
    left, right = two_hosts
    opened = run_in(right, "listener.open_ports('10.77.0.2', [13345], 60)")
    assert opened["ports"] == [opened["ephemeral"], 13345]
    targets = [["10.77.0.2", port, opened["greeting"]] for port in [*opened["ports"], 13346]]
    ask = f"reach.reach({targets!r}, 5)"
    assert [one["outcome"] for one in run_in(left, ask)] == ["ok", "ok", "refused"]
    away = run_in(left, "reach.reach([['203.0.113.1', 1, '']], 5)")
    assert away[0]["outcome"] == "unreachable"
    # The wire is there and packets vanish, as behind a firewall that drops.
    ip("-n", right, "link", "set", "wire", "arp", "off")
    ip("-n", left, "neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", "wire")
    ask = f"reach.reach({targets[:1]!r}, 0.5)"
    assert [one["outcome"] for one in run_in(left, ask)] == ["timed_out"]
    assert run_in(right, f"listener.close_ports({opened['pid']}, {opened['began']})")
    pids = subprocess.run(["ip", "netns", "pids", right], check=True, capture_output=True)
    assert pids.stdout == b""
