"""Cluster files and inline hosts → targets; and what is refused, with its place."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ci.documents import address
from ci.documents.address import HostAddress
from ci.errors import CaseError, UserError
from ci.inventory import cluster_file
from ci.inventory.cluster_file import inline, parse
from ci.inventory.cluster_model import HostEntry, Settings
from ci.inventory.target import Accelerator, Target

CONFIGS = Path(__file__).parents[3] / "configs"
WHOLE = """\
defaults:
  user: tester
  port: 2222
  identity: keys/id
  known_hosts: ~/.ssh/lab
  jump: gate
  workspace: ~/w
  accelerator: {kind: ascend, count: 8}
  labels: {rack: "7"}
  python: python3.9
hosts:
  b: {address: 10.0.0.2, port: 22, interface: eth1, workspace: /data/w}
  a: {labels: {spare: "yes"}, jump: , accelerator: {kind: cpu, count: 0}}
  gate:
"""


def targets(text):
    return {target.name: target for target in parse(text.encode(), "/etc/lab/c.yaml")}


def problems(text):
    with pytest.raises(CaseError) as refused:
        parse(text.encode(), "c.yaml")
    return [
        f"{problem.line}:{problem.column} {problem.key}: {problem.message}"
        for problem in refused.value.problems
    ]


def test_a_whole_file(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    hosts = targets(WHOLE)
    assert list(hosts) == ["b", "a", "gate"]
    assert hosts["b"] == Target(
        name="b",
        address="10.0.0.2",
        user="tester",
        port=22,
        identity="/etc/lab/keys/id",
        jump="tester@gate:2222",
        known_hosts="/home/me/.ssh/lab",
        workspace="/data/w",
        interface="eth1",
        accelerator=Accelerator("ascend", 8),
        labels={"rack": "7"},
        python="python3.9",
    )
    assert hosts["a"].jump is None
    assert hosts["a"].labels == {"rack": "7", "spare": "yes"}
    assert hosts["a"].accelerator == Accelerator("cpu", 0)
    assert (hosts["gate"].address, hosts["gate"].jump, hosts["gate"].workspace) == (
        *("gate", None, "~/w"),
    )


@pytest.mark.parametrize(
    ("text", "jump"),
    [
        ("hosts: {a: {jump: me@gate:22}}", "me@gate:22"),
        ("hosts: {a: {jump: b}, b: {address: 10.0.0.2, user: u}}", "u@10.0.0.2"),
        ('hosts: {a: {jump: b}, b: {address: "fd00::2", port: 9}}', "[fd00::2]:9"),
        ("hosts: {a: {jump: b}, b: {jump: c}, c: {jump: out}}", "out,c,b"),
    ],
)
def test_jump_hosts(text, jump):
    assert targets(text)["a"].jump == jump


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: {}", "1:8 hosts: names no host"),
        ("defaults: {user: x}", "1:1 hosts: missing; it maps each host's name"),
        ("", "1:1 : the file is empty; a cluster needs at least one host"),
        ("- a", "1:1 : expected a mapping of keys to values, found a list"),
        ("hosts: {a: , a: }", "1:14 hosts.a: written twice"),
        ("hosts: {a: {adress: x}}", "1:13 hosts.a.adress: unknown key; did you mean 'address'?"),
        ("host: {a: }", "1:1 host: unknown key; did you mean 'hosts'?"),
        ("user: x\nhosts: {a: }", "1:1 user: unknown key here; it belongs under 'defaults'"),
        ("defaults: {address: x}\nhosts: {a: }", "1:12 defaults.address: unknown key here"),
        ("hosts: {a: {accelerator: {kind: asend, count: 1}}}", "did you mean 'ascend'?"),
        ("hosts: {a: {accelerator: {kind: cpu, cont: 1}}}", "1:38 hosts.a.accelerator.cont: unk"),
        ("hosts: {a: {accelerator: {kind: cpu}}}", "hosts.a.accelerator.count: missing; it is how"),
        ("hosts: {a: {accelerator: {kind: cpu, count: -1}}}", "-1 is out of range"),
        ("hosts: {a: {port: 0}}", "1:19 hosts.a.port: 0 is out of range; it has to be more than 0"),
        ("hosts: {a: {port: 65536}}", "65536 is out of range; it has to be at most 65535"),
        ("hosts: {a: {port: '22'}}", "expected a whole number, found the text '22'"),
        ("hosts: {a: {user: 7}}", "expected text, found the number 7; put it in quotes"),
        ("hosts: {a: {labels: {rack: 7}}}", "hosts.a.labels.rack: expected text"),
        ("hosts: {a: {workspace: w}}", "'w' is not an absolute path; begin it with / or ~/"),
        ("hosts: {a: {address: 'me@b'}}", "'me@b' is more than the host; move the rest to 'user'"),
        ("hosts: {a: {address: '-oX'}}", "'-oX' is not a host name or address"),
        ("hosts: {'a/b': }", "1:9 hosts.a/b: 'a/b' cannot name a host"),
        (
            "hosts: {a: {jump: 'b c'}}",
            "'b c' is not a host name or address; write [user@]host[:port]",
        ),
        ("hosts: {a: {jump: a}}", "1:19 hosts.a.jump: reaches the host through itself: a → a"),
        ("hosts: {a: {jump: b}, b: {jump: a}}", "through itself: a → b → a"),
        ("hosts: {a: {interface: 'eth 0'}}", "'eth 0' is not the name of a network interface"),
        ("hosts: [a, b]", "1:8 hosts: expected a mapping of keys to values, found a list"),
        (
            f"hosts: {{{'n' * 254}: }}",
            f"1:9 hosts.{'n' * 254}: '{'n' * 254}' is too long; a host name has at most 253 char",
        ),
        (f"hosts: {{{'n' + 'ü' * 127}: }}", "is too long; a host name has at most 253 char"),
        (f"hosts: {{a: {{address: {'n' * 254}}}}}", "is too long; a host name has at most 253"),
        (f"hosts: {{a: {{jump: 'u@{'n' * 254}:22'}}}}", "is too long; a host name has at most 253"),
        ("hosts: {a: {port: 022}}", "1:19 hosts.a.port: YAML reads '022' in base 8, as 18; write"),
        ("hosts: {a: {port: 22:30}}", "1:19 hosts.a.port: YAML reads '22:30' in base 60, as 1350"),
        ("hosts: {a: {known_hosts: none}}", "hosts.a.known_hosts: 'none' is not a file; name one"),
        ("hosts: {a: {identity: $HOME/id}}", "has a '$', but variables are not expanded here"),
        ("hosts: {a: {python: ~/conda/bin/python3}}", "not expanded on the host; write the whole"),
        ("hosts: {1: }", "a key has to be text; put '1' in quotes"),
    ],
)
def test_refused_with_its_place(text, message):
    errors = problems(text)
    assert any(message in error for error in errors), errors


def test_every_problem_is_reported_in_the_files_order():
    errors = problems("hosts:\n  a: {port: 0}\n  b: {usr: x}\ndefaults: {jmp: c}\n")
    assert [error.split(":")[0] for error in errors] == ["2", "3", "4"]


@pytest.mark.parametrize(
    ("entry", "target"),
    [
        ("node-a", Target("node-a", "node-a")),
        ("10.0.0.2", Target("10.0.0.2", "10.0.0.2")),
        ("me@node-a", Target("node-a", "node-a", user="me")),
        ("me@node-a:2222", Target("node-a-2222", "node-a", user="me", port=2222)),
        ("fd00::2", Target("fd00::2", "fd00::2")),
        ("me@fd00::2", Target("fd00::2", "fd00::2", user="me")),
        ("[fd00::2]:22", Target("fd00::2-22", "fd00::2", port=22)),
        ("127.0.0.1:2222", Target("127.0.0.1-2222", "127.0.0.1", port=2222)),
    ],
)
def test_inline_hosts_over_ssh(entry, target):
    assert inline(entry) == target
    assert not inline(entry).is_local


@pytest.mark.parametrize("entry", ["localhost", "127.0.0.1", "::1"])
def test_this_machine_by_any_name_is_one(entry):
    target = inline(entry)
    assert target.is_local
    assert (target.name, target.python) == ("localhost", sys.executable)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("", "is not a host name"),
        ("a b", "is not a host name"),
        ("a:b", "is not a host name"),
        ("-oProxyCommand=x", "is not a host name"),
        ("@a", "no valid user"),
        ("a b@c", "no valid user"),
        ("a:", "ends in :, which is not a port"),
        ("a:0", "ends in :0"),
        ("a:65536", "ends in :65536"),
        ("[a]:22", "a is not an IPv6 address"),
        ("1:2:3", "1:2:3 is not an IPv6 address"),
        ("a@b@c", "is not a host name"),
        ("n" * 254, "is too long; a host name has at most 253 characters"),
        ("n" * 253 + ":22", "is too long; a host name has at most 253 characters"),
    ],
)
def test_an_invalid_host(entry, message):
    with pytest.raises(ValueError, match=message):
        inline(entry)


@pytest.mark.parametrize("text", ["a", "u@a", "u@a:1", "a:1", "fd00::2", "[fd00::2]:1"])
def test_a_host_is_written_as_it_is_read(text):
    assert str(address.parse(text)) == text
    assert isinstance(address.parse(text), HostAddress)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("defaults: {user: u, port: 1, jump: g}\nhosts: {localhost: }", True),
        ("hosts: {me: {address: 127.0.0.1}}", True),
        ("hosts: {me: {address: 127.0.0.1, port: 2222}}", False),
        ("hosts: {localhost: {user: other}}", False),
        ("hosts: {me: {address: 127.0.0.2}}", False),
    ],
)
def test_this_machine_in_a_cluster_file(text, local):
    (target,) = targets(text).values()
    assert target.is_local == local
    assert (target.python == sys.executable) == local


def test_files_are_found_by_path_and_by_name(tmp_path):
    (tmp_path / "lab.yaml").write_text("hosts: {a: }")
    for name in (str(tmp_path / "lab.yaml"), "lab", "lab.yaml"):
        assert cluster_file.find(name, tmp_path) == tmp_path / "lab.yaml"
    assert [target.name for target in cluster_file.load(tmp_path / "lab.yaml")] == ["a"]


@pytest.mark.parametrize("name", ["lap", "", "x" * 5000, "."])
def test_no_such_cluster(tmp_path, name):
    (tmp_path / "lab.yaml").write_text("hosts: {a: }")
    with pytest.raises(UserError, match=r"where there are: lab") as refused:
        cluster_file.find(name, tmp_path)
    assert ("Did you mean 'lab'?" in str(refused.value)) == (name == "lap")


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"cannot be read: .*; check the path"):
        cluster_file.load(tmp_path)


def test_the_example_has_every_key():
    text = (CONFIGS / "clusters" / "example.yaml").read_text("utf-8")
    assert len(cluster_file.load(CONFIGS / "clusters" / "example.yaml")) == 5
    for key in {*Settings.model_fields, *HostEntry.model_fields}:
        assert f"{key}:" in text
