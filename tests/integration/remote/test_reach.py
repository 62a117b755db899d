"""One host listens, another connects: on this machine, and between two network namespaces."""

import contextlib
import json
import os
import socket
import struct
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hosts_here import held_port

from ci.remote.loop.listeners import Listeners
from ci.remote.poller import Poller
from ci.remote.requests import reach

PROJECT = Path(__file__).parents[3]


@contextlib.contextmanager
def listening(address="127.0.0.1", ports=(), seconds=300):
    """Listen as an agent does, in the loop of a thread."""
    poller = Poller()
    listeners = Listeners(poller)
    opened = listeners.open(address, list(ports), seconds)
    ending, end = os.pipe()
    over = threading.Event()
    poller.register(ending, over.set)

    def loop():
        while not over.is_set():
            for callback in poller.ready(60):
                callback()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield opened
    finally:
        os.close(end)
        thread.join()
        os.close(ending)
        listeners.close(opened["greeting"])


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
        Listeners(Poller()).open("192.0.2.77", [], 5)


def test_a_name_is_not_looked_up_to_listen_on():
    with pytest.raises(OSError, match="address"):
        Listeners(Poller()).open("localhost", [], 5)


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
    listeners = Listeners(Poller())
    overdue = listeners.open("127.0.0.1", [], 0)
    later = listeners.open("127.0.0.1", [], 300)
    listeners.close_overdue()
    assert not reach.accepts(overdue["ephemeral"])
    assert reach.accepts(later["ephemeral"])
    listeners.close(later["greeting"])
    listeners.close(later["greeting"])
    assert not reach.accepts(later["ephemeral"])


REACH = """
import json
from ci.remote.requests import reach
print(json.dumps(reach.reach({targets!r}, {timeout_s})))
"""
LISTEN = """
import json
from ci.remote.loop.listeners import Listeners
from ci.remote.poller import Poller
poller = Poller()
print(json.dumps(Listeners(poller).open("10.77.0.2", [13345], 60)), flush=True)
while True:
    for callback in poller.ready(60):
        callback()
"""


def start_in(name, code):
    """Run code of the agent in a network namespace."""
    argv = ["ip", "netns", "exec", name, sys.executable, "-c", code]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=PROJECT)


def reach_in(name, targets, timeout_s):
    with start_in(name, REACH.format(targets=targets, timeout_s=timeout_s)) as process:
        return json.loads(process.stdout.read())


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
    with start_in(right, LISTEN) as listener:
        try:
            reach_each_other(left, right, json.loads(listener.stdout.readline()))
        finally:
            listener.kill()


def reach_each_other(left, right, opened):
    assert opened["ports"] == [opened["ephemeral"], 13345]
    targets = [["10.77.0.2", port, opened["greeting"]] for port in [*opened["ports"], 13346]]
    assert [each["outcome"] for each in reach_in(left, targets, 5)] == ["ok", "ok", "refused"]
    (away,) = reach_in(left, [["203.0.113.1", 1, ""]], 5)
    assert away["outcome"] == "unreachable"
    # The wire is there and packets vanish, as behind a firewall that drops.
    ip("-n", right, "link", "set", "wire", "arp", "off")
    ip("-n", left, "neigh", "replace", "10.77.0.2", "lladdr", "02:00:00:00:00:99", "dev", "wire")
    (dropped,) = reach_in(left, targets[:1], 0.5)
    assert dropped["outcome"] == "timed_out"
