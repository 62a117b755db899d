"""Two hosts examined by their real agents; here they are two addresses of this machine."""

import contextlib
import socket
import sys
from dataclasses import replace

import pytest
from hosts_here import held_port
from plans import plan_of, preparation

from ci.agent.client import Agent
from ci.connect.connection import LocalConnection
from ci.doctor.examine import examine
from ci.plan.model import Host
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


def plan_with(port, interface="lo", **keys):
    hosts = tuple(Host(name, where, interface, "/") for name, where in ADDRESSES.items())
    commands = (f"./serve.sh --port {port}", "./serve.sh --headless")
    return plan_of(*commands, site={"hosts": hosts}, npu_per_node=0, **keys)


def errors(examination):
    return {
        (finding.host, finding.subject)
        for finding in examination.findings
        if finding.severity == "error"
    }


def test_an_environment_script_that_is_missing(agents, free_port):
    examination = examine(agents, plan_with(free_port, env_script="/no/such.sh --force"), {})
    assert errors(examination) == {("a", "env_script"), ("b", "env_script")}
    scripts = [
        finding.message for finding in examination.findings if finding.subject == "env_script"
    ]
    assert set(scripts) == {"/no/such.sh does not exist"}


def test_two_hosts_that_are_fit(agents, free_port):
    port = free_port
    examination = examine(agents, plan_with(port), {})
    assert errors(examination) == set()
    assert list(examination.facts) == ["a", "b"]
    assert all(abs(facts["clock_offset_s"]) < 10 for facts in examination.facts.values())
    assert {(pair.source, pair.target) for pair in examination.pairs} == {("a", "b"), ("b", "a")}
    assert {pair.outcome for pair in examination.pairs} == {"ok"}
    assert ("b", "a", port) in {(pair.source, pair.target, pair.port) for pair in examination.pairs}
    left = gather("/", [pair.port for pair in examination.pairs], [])
    assert left["ports_taken"] == {}


def test_a_taken_port_and_a_wrong_interface(agents):
    with socket.create_server((ADDRESSES["a"], 0)) as server:
        port = server.getsockname()[1]
        examination = examine(agents, plan_with(port, "ib7"), {})
    assert errors(examination) == {("a", f"port {port}"), ("a", "interface"), ("b", "interface")}
    assert port not in {pair.port for pair in examination.pairs}


def test_a_host_that_went_away_hides_nothing_of_the_other(agents, free_port):
    agents["b"].close()
    examination = examine(agents, plan_with(free_port), {}, silent={"c": "c: it is down"})
    assert list(examination.facts) == ["a"]
    assert errors(examination) == {("b", "connection"), ("c", "connection")}


@pytest.mark.parametrize(("mark", "differ"), [("f1", True), ("older", False)])
def test_environments_that_are_there_already_and_differ(tmp_path, free_port, mark, differ):
    with contextlib.ExitStack() as stack:
        agents, items = {}, []
        for name, version in zip(ADDRESSES, ("1.0", "1.1"), strict=True):
            path = tmp_path / name / "envs" / "e"
            (path / "lib/python3.11/site-packages" / f"six-{version}.dist-info").mkdir(parents=True)
            (path / "bin").mkdir()
            (path / "bin" / "python").symlink_to(sys.executable)
            (path / ".lamplighter.json").write_text('{"fingerprint": "f1", "packages": []}')
            agents[name] = Agent(LocalConnection(name), str(tmp_path / name))
            stack.callback(agents[name].close)
            items.append(replace(preparation("e", name, path=str(path)), fingerprint=mark))
        plan = replace(plan_with(free_port), preparations=tuple(items))
        examination = examine(agents, plan, {})
    assert errors(examination) == ({("", "environment e")} if differ else set())
    assert ("six 1.0 on a, 1.1 on b" in str(examination.findings)) == differ
