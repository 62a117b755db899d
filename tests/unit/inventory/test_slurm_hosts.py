"""`slurm:` of a cluster file: every mistake has its place, and nodes become hosts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ci.case.load import load_one
from ci.errors import CaseError, UserError
from ci.inventory.assign import assign_hosts, chosen_of
from ci.inventory.cluster_file import CLUSTERS, load, load_cluster, parse, parse_cluster
from ci.inventory.slurm_hosts import SlurmHosts, login_target
from ci.inventory.target import LoginHost, Srun
from ci.paths import CASES


def hosts(text: str) -> SlurmHosts:
    found = parse_cluster(text.encode(), "c.yaml").slurm
    assert found is not None
    return found


def test_every_key():
    found = load_cluster(CLUSTERS / "example-slurm.yaml").slurm
    assert found is not None
    assert found.options == (
        "--partition=npu", "--account=inference", "--qos=night", "--constraint=ib&rack7",
        "--reservation=nightly", "--gres=gpu:8", "--switches=1",
    )  # fmt: skip
    assert (found.nodes, found.time_s, found.wait_s) == (4, 28800, 1800)
    assert found.login == LoginHost(
        "login-1", "ops", None, str(Path("~/.ssh/id_ed25519").expanduser())
    )


@pytest.mark.parametrize(("text", "problem"), [
    ("slurm:\n  partitoin: p\n  time: 8h", "2:3: slurm.partitoin: unknown key; did you mean"),
    ("slurm:\n  partition: p", "1:1: slurm.time: missing; it is how long the night may have the"),
    ("slurm: {time: 8}", "1:15: slurm.time: expected text, found the number 8"),
    ("slurm: {time: 30s}", "1:15: slurm.time: '30s': a job of Slurm has at least one minute"),
    ("slurm: {time: 8h, wait: soon}", "1:25: slurm.wait: 'soon' is not a duration"),
    ("slurm: {time: 8h, nodes: 0}", "1:26: slurm.nodes: 0 is out of range"),
    ("slurm: {time: 8h, nodes: 2, nodelist: n1}", "slurm: has nodes and nodelist; give only one"),
    ("slurm: {time: 8h, transport: mpi}", "1:30: slurm.transport: expected 'ssh' or 'srun'"),
    ("slurm: {time: 8h, partition: -p}", "1:30: slurm.partition: '-p' has a space, or begins with"),
    ("slurm: {time: 8h, account: 'a b'}", "slurm.account: 'a b' has a space"),
    ("slurm: {time: 8h, login_host: 'a b'}", "slurm.login_host: 'a b' is not a host name"),
    ("slurm: {time: 8h, extra: [--time=1]}", "slurm.extra[0]: '--time=1': write `time:` instead"),
    ("slurm: {time: 8h, extra: [--tim=1]}", "slurm.extra[0]: '--tim=1': write `time:` instead"),
    ("slurm: {time: 8h, extra: [-p, x]}", "slurm.extra[0]: '-p': write `partition:` instead"),
    ("slurm: {time: 8h, extra: [--wrap=id]}", "slurm.extra[0]: '--wrap=id': Lamplighter sets this"),
    ("slurm: {time: 8h, extra: [--requeue]}", "slurm.extra[0]: '--requeue': Lamplighter sets this"),
    ("slurm: {time: 8h, extra: ['--gres gpu']}", "slurm.extra[0]: '--gres gpu' is not an option"),
    ('slurm: {time: 8h, extra: ["--gres=\\n"]}', "slurm.extra[0]: '--gres=\\n' is not one line"),
    ("slurm: {time: 8h}\nhosts: {a: {prot: 1}}", "hosts.a.prot: unknown key; did you mean 'port'"),
    ("slrum: {time: 8h}", "1:1: slrum: unknown key; did you mean 'slurm'?"),
])  # fmt: skip
def test_refused_with_its_place(text: str, problem: str):
    with pytest.raises(CaseError) as refused:
        parse_cluster(text.encode(), "c.yaml")
    assert problem in str(refused.value)
    assert str(refused.value).startswith("c.yaml:")


def test_a_node_is_a_host():
    found = hosts(
        "slurm: {time: 8h}\n"
        "defaults: {user: me, workspace: /w, jump: gate}\n"
        "hosts: {n2: {interface: eth1}, n3: {address: 10.9.9.9, user: you}, gate: }\n"
    )
    first, second, third = (found.target(f"n{n}", f"10.0.0.{n}", 7) for n in (1, 2, 3))
    assert (first.name, first.address, first.user, first.jump) == (
        "n1",
        "10.0.0.1",
        "me",
        "me@gate",
    )
    assert (second.address, second.interface, second.workspace) == ("10.0.0.2", "eth1", "/w")
    assert (third.address, third.user, third.srun) == ("10.9.9.9", "you", None)


def test_through_srun():
    found = hosts("slurm: {time: 8h, transport: srun, login_host: gate}\nhosts: {gate: {port: 23}}")
    target = found.target("n1", "10.0.0.1", 7)
    assert target.srun == Srun(7, "n1", LoginHost("gate", port=23))
    assert not target.is_local
    assert found.target("n1", "localhost", 7).is_local is False
    assert login_target(LoginHost("gate", port=23)).port == 23


@pytest.mark.parametrize("login", ["localhost", "127.0.0.1"])
def test_this_machine_needs_no_ssh(login: str):
    assert hosts(f"slurm: {{time: 8h, login_host: {login}}}").login is None


def test_the_login_host_has_the_nodes_user_but_not_their_jump_host_and_port():
    text = "slurm: {time: 8h, login_host: l1}\ndefaults: {user: me, port: 23, jump: gate}"
    assert hosts(text).login == LoginHost("l1", "me")


@pytest.mark.parametrize(("keys", "needed", "asked"), [
    ("", 3, 3), ("nodes: 4, ", 3, 4), ("nodelist: 'n[1-9]', ", 3, None),
])  # fmt: skip
def test_how_many_nodes(keys: str, needed: int, asked: int | None):
    assert hosts(f"slurm: {{{keys}time: 8h}}").count(needed) == asked


def test_too_few_nodes():
    with pytest.raises(UserError, match=r"c.yaml: slurm.nodes: 2, but the case has 3 nodes"):
        hosts("slurm: {nodes: 2, time: 8h}").count(3)


def test_a_command_that_needs_hosts_says_where_they_come_from():
    with pytest.raises(UserError, match="its hosts come from Slurm"):
        parse(b"slurm: {time: 8h}", "c.yaml")
    with pytest.raises(UserError, match="its hosts come from Slurm"):
        load(CLUSTERS / "example-slurm.yaml")


def test_a_case_is_planned_before_and_after(tmp_path: Path):
    path = tmp_path / "mine.yaml"
    path.write_text("slurm: {time: 8h}\ndefaults: {workspace: /w}\n")
    case = load_one("local-2-hosts.yaml", CASES)
    before = assign_hosts(case, local=False, cluster=str(path), workspace="")
    assert [target.name for target in before] == ["slurm-1", "slurm-2"]
    found = load_cluster(path).slurm
    assert found is not None
    given = [found.target(f"n{number}", f"10.0.0.{number}", 7) for number in (1, 2, 3)]
    after = assign_hosts(case, local=False, cluster=str(path), workspace="", allocated=given)
    assert [(target.name, target.workspace) for target in after] == [("n1", "/w"), ("n2", "/w")]


def test_hosts_are_named_of_those_that_slurm_gave():
    found = hosts("slurm: {time: 8h}\nhosts: {n2: {address: 10.9.9.9}}")
    named = found.named(["n2", "n1"])
    assert [(each.name, each.address) for each in named] == [("n2", "10.9.9.9"), ("n1", "n1")]
    assert chosen_of(named, "") == list(named)
    assert [each.name for each in chosen_of(named, "n1, n2")] == ["n1", "n2"]
    with pytest.raises(UserError, match="Slurm has no n3 for it; it has n2, n1"):
        chosen_of(named, "n1,n3")
