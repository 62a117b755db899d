"""Two hosts examined by their real agents; here they are two addresses of this machine."""

import contextlib
import socket
from types import SimpleNamespace as Values

import pytest
from hosts_here import held_port

from ci.agent.client import Agent
from ci.connect.connection import LocalConnection
from ci.doctor.examine import examine
from ci.remote.facts.facts import gather

ADDRESSES = {"a": "127.0.0.2", "b": "127.0.0.3"}


@pytest.fixture
def agents(tmp_path):
    with contextlib.ExitStack() as stack:
        made = {name: Agent(LocalConnection(name), str(tmp_path)) for name in ADDRESSES}
        for agent in made.values():
            stack.callback(agent.close)
        yield made


@pytest.fixture
def free_port():
    with held_port(ADDRESSES["a"]) as port:
        yield port


def plan_of(port, **more):
    """The plan as far as a doctor reads it."""
    return Values(
        case=Values(device="cpu", npu_per_node=0),
        workspace="/",
        hosts=tuple(
            Values(**{"name": name, "address": where, "interface": "lo", "workspace": "/"} | more)
            for name, where in ADDRESSES.items()
        ),
        preparations=(),
        processes=(
            Values(
                name="server-0",
                host="a",
                headless=False,
                port=port,
                ports=(),
                env={},
                argv=("./serve.sh",),
            ),
        ),
    )


def errors(found):
    return {(one.host, one.subject) for one in found.findings if one.severity == "error"}


def test_two_hosts_that_are_fit(agents, free_port):
    port = free_port
    found = examine(agents, plan_of(port), {})
    assert errors(found) == set()
    assert list(found.facts) == ["a", "b"]
    assert all(abs(facts["clock_offset_s"]) < 10 for facts in found.facts.values())
    assert {(pair.source, pair.target) for pair in found.pairs} == {("a", "b"), ("b", "a")}
    assert {pair.outcome for pair in found.pairs} == {"ok"}
    assert ("b", "a", port) in {(pair.source, pair.target, pair.port) for pair in found.pairs}
    left = gather("/", [pair.port for pair in found.pairs], [])
    assert left["ports_taken"] == {}


def test_a_taken_port_and_a_wrong_interface(agents):
    with socket.create_server((ADDRESSES["a"], 0)) as server:
        port = server.getsockname()[1]
        found = examine(agents, plan_of(port, interface="ib7"), {})
    assert errors(found) == {("a", f"port {port}"), ("a", "interface"), ("b", "interface")}
    assert port not in {pair.port for pair in found.pairs}


def test_a_host_that_went_away_hides_nothing_of_the_other(agents, free_port):
    agents["b"].close()
    found = examine(agents, plan_of(free_port), {}, silent={"c": "c: it is down"})
    assert list(found.facts) == ["a"]
    assert errors(found) == {("b", "connection"), ("c", "connection")}


@pytest.mark.parametrize(("mark", "differ"), [("f1", True), ("older", False)])
def test_environments_that_are_there_already_and_differ(tmp_path, free_port, mark, differ):
    with contextlib.ExitStack() as stack:
        agents, made = {}, []
        for name, version in zip(ADDRESSES, ("1.0", "1.1"), strict=True):
            path = tmp_path / name / "envs" / "e"
            (path / "lib/python3.11/site-packages" / f"six-{version}.dist-info").mkdir(parents=True)
            (path / ".lamplighter.json").write_text('{"fingerprint": "f1", "packages": []}')
            agents[name] = Agent(LocalConnection(name), str(tmp_path / name))
            stack.callback(agents[name].close)
            item = {"name": "e", "host": name, "kind": "environment", "path": str(path)}
            made.append(Values(**item, fingerprint=mark, spec={}))
        plan = plan_of(free_port)
        plan.preparations = tuple(made)
        found = examine(agents, plan, {})
    assert errors(found) == ({("", "environment e")} if differ else set())
    assert ("six 1.0 on a, 1.1 on b" in str(found.findings)) == differ
