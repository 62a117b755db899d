"""An IPv6 address stands in brackets wherever a port or a path follows it."""

from __future__ import annotations

import socket
import threading

import pytest

from ci.case.load import parse
from ci.case.variables import expand
from ci.doctor.compare import _reach
from ci.doctor.model import Pair
from ci.documents.address import host_port, url_of
from ci.k8s.pod_network import Addresses
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host
from ci.prepare.outbound import _open_tunnel
from ci.report.plan.text import as_text

POOL = """\
test_name: t
model: m
num_nodes: 2
npu_per_node: 0
deployment:
  - server_cmd: >
      vllm serve m --port 8000 --data-parallel-size 2 --data-parallel-size-local 1
      --data-parallel-address $LOCAL_IP --data-parallel-rpc-port 13389
    envs: {PEERS: 'http://$NODE_1_IP:8000,$NODE_1_IP', PEER: '$NODE_1_IP:1'}
  - server_cmd: >
      vllm serve m --headless --data-parallel-size 2 --data-parallel-size-local 1
      --data-parallel-start-rank 1 --data-parallel-address $MASTER_IP
      --data-parallel-rpc-port 13389
"""


def plan_v6():
    (case,) = parse(POOL.encode(), "c.yaml")
    hosts = tuple(Host(f"n{at}", f"fd00::{at + 1}", "eth0", "/w") for at in range(2))
    return build(case, PlanInputs((), hosts, {}, {}, {}, {}))


@pytest.mark.parametrize(
    ("host", "text"),
    [("fd00::2", "[fd00::2]:8000"), ("10.0.0.2", "10.0.0.2:8000"), ("node", "node:8000")],
)
def test_a_host_with_its_port(host, text):
    assert host_port(host, 8000) == text
    assert url_of(host, 8000) == f"http://{text}"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("http://$A:8000/v1", "http://[fd00::2]:8000/v1"),
        ("tcp://${A}:1", "tcp://[fd00::2]:1"),
        ("http://$A/v1", "http://[fd00::2]/v1"),
        ("${A}:50088", "[fd00::2]:50088"),
        ("$A:$PORT", "[fd00::2]:9"),
        ("[$A]:50088", "[fd00::2]:50088"),
        ("$A", "fd00::2"),
        ("$A,$A", "fd00::2,fd00::2"),
        ("$B:50088", "10.0.0.2:50088"),
        ("$LIST:50088", "a:b:50088"),
    ],
)
def test_a_variable_in_a_url(text, expanded):
    known = {"A": "fd00::2", "B": "10.0.0.2", "PORT": "9", "LIST": "a:b"}
    assert expand(text, known, "c.yaml") == expanded


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("http://${NODE_0_IP}/health", "http://[fd00::9]/health"),
        ("${NODE_0_IP}:50088", "[fd00::9]:50088"),
        ("[${NODE_0_IP}]:50088", "[fd00::9]:50088"),
        ("${NODE_0_IP}", "fd00::9"),
    ],
)
def test_a_pods_address_in_a_url(text, filled):
    env = {"LWS_WORKER_INDEX": "0", "LWS_LEADER_ADDRESS": "x.y", "POD_IP": "fd00::9"}
    assert Addresses(env).fill(text) == filled


def test_a_plan_and_its_text():
    plan = plan_v6()
    assert plan.endpoint.url == "http://[fd00::1]:8000"
    env = plan.servers[0].env
    assert env["PEERS"] == "http://[fd00::2]:8000,fd00::2"
    assert env["PEER"] == "[fd00::2]:1"
    assert "[fd00::1]:13389" in as_text(plan)
    assert "fd00::1:" not in as_text(plan)


def test_the_doctor():
    (finding,) = _reach([Pair("a", "b", "fd00::2", 8000, "refused", "")])
    assert finding.message.startswith("[fd00::2]:8000 cannot be reached from a")


def test_what_a_proxy_is_asked_for():
    here, there = socket.socketpair()
    heard = bytearray()

    def proxy() -> None:
        while b"\r\n\r\n" not in heard:
            heard.extend(there.recv(4096))
        there.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    thread = threading.Thread(target=proxy)
    thread.start()
    with here, there:
        _open_tunnel(here, ("fd00::2", 443))
        thread.join()
    assert heard.startswith(b"CONNECT [fd00::2]:443 HTTP/1.1\r\nHost: [fd00::2]:443\r\n")
