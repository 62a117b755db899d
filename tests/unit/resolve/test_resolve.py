"""Hosts for nodes, and their own addresses from what they tell of themselves."""

from __future__ import annotations

import re

import pytest

from ci.case.load import parse
from ci.errors import UserError
from ci.inventory.assign import assign_hosts
from ci.inventory.target import Target
from ci.paths import workspace_of
from ci.plan.addresses import configured_host, with_addresses
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.model import Preparation
from ci.request import Request
from ci.resolve import require_datasets, resolve

FILE = "hosts: {a: {address: 10.0.0.1}, b: {address: 10.0.0.2, workspace: /b}, c: }"


def case_of(hosts=(), count=2, model="m", more=""):
    servers = "\n".join("  - {server_cmd: serve x}" for _ in range(count))
    listed = f"cluster_hosts: [{', '.join(hosts)}]\n" if hosts else ""
    text = f"test_name: t\nmodel: {model}\nnum_nodes: {count}\nnpu_per_node: 0\n{listed}{more}"
    return parse(f"{text}deployment:\n{servers}\n".encode(), "c.yaml")[0]


@pytest.fixture
def lab(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(FILE)
    return str(path)


def chosen(case, *, local=False, cluster="", workspace=""):
    return assign_hosts(case, local=local, cluster=cluster, workspace=workspace)


def names(targets):
    return [target.name for target in targets]


@pytest.mark.parametrize(
    ("hosts", "count", "expected"),
    [
        ([], 2, ["a", "b"]),
        ([], 3, ["a", "b", "c"]),
        (["c", "a"], 2, ["c", "a"]),
        (["x", "y"], 2, ["a", "b"]),
        (["localhost"], 1, ["a"]),
    ],
)
def test_hosts_of_a_cluster(lab, hosts, count, expected):
    assert names(chosen(case_of(hosts, count), cluster=lab)) == expected


@pytest.mark.parametrize(
    ("hosts", "count", "how", "message"),
    [
        ([], 4, {"cluster": "lab"}, "has 3 hosts (a, b, c), but c.yaml has 4 nodes"),
        (["a", "bb"], 2, {"cluster": "lab"}, "bb not in "),
        (["a", "a"], 2, {"cluster": "lab"}, "nodes 0 and 1 would both run on a"),
        (["x", "me@x"], 2, {}, "nodes 0 and 1 would both run on x"),
        ([], 2, {}, "add `cluster_hosts: [HOST, HOST]`, or give --cluster NAME, or --local"),
        ([], 2, {}, "c.yaml: names no hosts; add"),
        (["x"], 1, {"local": True, "cluster": "lab"}, "--local and --cluster"),
        (["x"], 1, {"workspace": "w"}, "--workspace w: not an absolute path on x"),
    ],
)
def test_no_hosts_for_the_nodes(lab, hosts, count, how, message):
    how = {key: lab if value == "lab" else value for key, value in how.items()}
    with pytest.raises(UserError) as refused:
        chosen(case_of(hosts, count), **how)
    assert message in str(refused.value)


def test_two_hosts_of_a_cluster_file_that_are_the_same_have_their_lines(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("hosts:\n  a: {address: 127.0.0.9}\n  b: {address: 127.0.0.9}\n")
    same = re.escape(f"nodes 0 and 1 would both run on a ({file}:2) alias b ({file}:3); name")
    with pytest.raises(UserError, match=same):
        chosen(case_of([], 2), cluster=str(file))


def test_a_form_without_cluster_hosts_is_advised_to_take_flags_alone():
    entry = "{name: a, model: m, server_cmd: [--port, '8000']}"
    (case,) = parse(f"test_cases: [{entry}]".encode(), "one.yaml")
    with pytest.raises(UserError) as refused:
        chosen(case)
    assert str(refused.value) == (
        "one.yaml: this kind of case file cannot name hosts; give --cluster NAME, or --local to "
        "run on this machine"
    )


@pytest.mark.parametrize("below", ["", "/x", "/x/y"])
def test_a_workspace_is_a_folder(tmp_path, below):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UserError, match=f"{file}{below}: is a file, but the workspace has to be"):
        workspace_of(f"{file}{below}")
    assert workspace_of(str(tmp_path / "new")) == str(tmp_path / "new")


@pytest.mark.parametrize("hosts", [["localhost", "127.0.0.1"], ["::1", "::1"]])
def test_this_machine_may_have_several_nodes(hosts):
    quoted = [f"'{host}'" for host in hosts]
    assert names(chosen(case_of(quoted))) == ["localhost", "localhost"]
    assert names(chosen(case_of(["x", "y"]), local=True)) == ["localhost", "localhost"]


def test_workspaces(lab, monkeypatch, tmp_path):
    monkeypatch.setenv("LAMPLIGHTER_WORKSPACE", str(tmp_path))
    selected = chosen(case_of(count=3), cluster=lab)
    assert [target.workspace for target in selected] == [
        *("~/.cache/lamplighter", "/b", "~/.cache/lamplighter"),
    ]
    assert {target.workspace for target in chosen(case_of(), cluster=lab, workspace="~/x")} == {
        "~/x"
    }
    assert chosen(case_of(), local=True)[0].workspace == str(tmp_path)
    assert workspace_of("/given") == "/given"


def test_a_site_of_this_machine_alone(tmp_path):
    site = resolve(case_of(), Request("c", local=True, workspace=str(tmp_path)))
    assert site.local
    assert {(h.name, h.address, h.interface) for h in site.hosts} == {
        ("localhost", "127.0.0.1", "lo")
    }
    assert with_addresses(site, {}) is site


def test_a_site_of_a_cluster_before_any_host_is_asked(lab):
    site = resolve(
        case_of(model="SmolLM2-135M-Instruct", more="vllm: '0.32.0'\ndevice: cpu\n", count=3),
        Request("c", cluster=lab),
    )
    assert not site.local
    assert [(h.name, h.address, h.interface) for h in site.hosts] == [
        *(("a", "10.0.0.1", ""), ("b", "10.0.0.2", ""), ("c", "c", "")),
    ]
    assert {host: made.path for host, made in site.serving.items()} == {
        "a": "~/.cache/lamplighter/envs/vllm-0.32.0",
        "b": "/b/envs/vllm-0.32.0",
        "c": "~/.cache/lamplighter/envs/vllm-0.32.0",
    }
    assert {made.spec["uv"] for made in site.serving.values()} == {None}
    assert site.model["b"].spec["python_bin"] == "/b/envs/vllm-0.32.0/bin/python"


def test_the_kind_of_a_machine_out_of_reach_has_to_be_said(lab):
    case = case_of(more="vllm: '0.32.0'\n")
    with pytest.raises(UserError, match="cannot choose the vLLM of a"):
        resolve(case, Request("c", cluster=lab))
    assert resolve(case, Request("c", cluster=lab, device="cpu")).serving


def addresses(*pairs):
    return [{"interface": interface, "address": at, "prefix": 24} for interface, at in pairs]


LO = ("lo", "127.0.0.1")
TWO = addresses(LO, ("eth0", "10.0.0.1"), ("eth1", "192.168.0.1"), ("eth1", "192.168.0.9"))
SIX = addresses(("eth0", "fd00::1"), ("eth0", "10.0.0.1"), ("eth1", "fd00::9"))


def facts_of(listed, default="eth0", ssh=None):
    return {
        "addresses": listed,
        "default_interface": default,
        "ssh_address": ssh,
        "home": "/home/me",
    }


def site_of(*targets, **more):
    hosts = tuple(
        configured_host(target, target.workspace or "~/w", alone=False) for target in targets
    )
    settings = {"serving": {}, "tools": {}, "model": {}, "datasets": {}}
    return PlanInputs(targets=targets, hosts=hosts, **(settings | more))


OTHER = Target("other", "10.9.9.9")
OTHERS = facts_of(addresses(LO, ("eth0", "10.9.9.9")))


@pytest.mark.parametrize(
    ("target", "facts", "expected"),
    [
        (Target("a", "a", interface="eth1"), facts_of(TWO), ("192.168.0.1", "eth1")),
        (Target("a", "10.0.0.1", interface="eth1"), facts_of(SIX), ("fd00::9", "eth1")),
        (Target("a", "a", interface="eth0"), facts_of(SIX), ("10.0.0.1", "eth0")),
        (Target("a", "192.168.0.9"), facts_of(TWO), ("192.168.0.9", "eth1")),
        (Target("a", "fd00:0::1"), facts_of(SIX), ("fd00::1", "eth0")),
        (Target("a", "7.7.7.7"), facts_of(TWO, ssh="192.168.0.1"), ("192.168.0.1", "eth1")),
        (Target("a", "alias"), facts_of(TWO, ssh="192.168.0.1"), ("192.168.0.1", "eth1")),
        (Target("a", "alias"), facts_of(TWO, ssh="7.7.7.7"), ("10.0.0.1", "eth0")),
        (Target("a", "alias"), facts_of(TWO, default="eth1"), ("192.168.0.1", "eth1")),
        (Target("a", "127.0.0.1", port=9), facts_of(TWO, ssh="127.0.0.1"), ("10.0.0.1", "eth0")),
        (Target("a", "127.0.0.3"), facts_of(addresses(LO), None), ("127.0.0.3", "lo")),
        (Target("a", "x"), facts_of(addresses(LO), None, ssh="127.0.0.3"), ("127.0.0.3", "lo")),
    ],
)
def test_a_hosts_own_address(target, facts, expected):
    site = with_addresses(site_of(target, OTHER), {"a": facts, "other": OTHERS})
    host = site.hosts[0]
    assert (host.address, host.interface) == expected
    assert host.workspace == "/home/me/w"


@pytest.mark.parametrize(
    ("target", "facts", "message"),
    [
        (Target("a", "a", interface="eth7"), facts_of(TWO), "no interface eth7 with an address"),
        (Target("a", "a"), facts_of(TWO, None), "there are: lo (127.0.0.1), eth0 (10.0.0.1)"),
        (Target("a", "a"), facts_of(TWO, "ppp0"), "cannot determine"),
        (Target("a", "a"), facts_of(None, None), "none with an address"),
        (Target("a", "a"), facts_of(addresses(("e", "10.9.9.9")), "e"), "a and other both have"),
        (Target("a", "a"), {**facts_of(TWO), "home": None}, "has no home folder"),
    ],
)
def test_a_host_that_others_could_not_reach_is_refused(target, facts, message):
    with pytest.raises(UserError) as refused:
        with_addresses(site_of(target, OTHER), {"a": facts, "other": OTHERS})
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (facts_of(TWO, None), ("127.0.0.1", "lo")),
        (facts_of(TWO), ("10.0.0.1", "eth0")),
        (facts_of(TWO, ssh="127.0.0.1"), ("127.0.0.1", "lo")),
    ],
)
def test_a_lone_host_needs_an_address_of_any_kind(facts, expected):
    (host,) = with_addresses(site_of(Target("a", "a")), {"a": facts}).hosts
    assert (host.address, host.interface) == expected


def test_a_host_that_told_nothing_stays_as_written():
    site = with_addresses(site_of(Target("a", "a"), OTHER), {"other": OTHERS})
    assert [host.address for host in site.hosts] == ["a", "10.9.9.9"]


def test_hosts_that_told_nothing_are_not_taken_for_the_same():
    twice = [Target(name, "127.0.0.9", port=port) for name, port in (("a", 2201), ("b", 2202))]
    site = with_addresses(site_of(*twice), {})
    assert [host.address for host in site.hosts] == ["127.0.0.9", "127.0.0.9"]
    one_known = {"a": facts_of(addresses(("lo", "127.0.0.1"), ("e", "127.0.0.9")), "e")}
    assert len(with_addresses(site_of(*twice), one_known).hosts) == 2


def test_what_is_made_there_is_written_with_the_hosts_home():
    spec = {"path": "~/w/envs/v", "uv": None, "packages": ["~/x"]}
    made = Preparation("v", "a", "environment", "~/w/envs/v", "f", spec)
    site = with_addresses(site_of(Target("a", "a"), serving={"a": made}), {"a": facts_of(TWO)})
    assert site.serving["a"].path == "/home/me/w/envs/v"
    assert site.serving["a"].spec == {**spec, "path": "/home/me/w/envs/v"}


def bench(dataset, more=""):
    return (
        f"benchmarks: {{b: {{case_type: accuracy, dataset_path: {dataset}, max_out_len: 1, "
        f"batch_size: 1, baseline: 1, threshold: 0{more}}}}}\n"
    )


@pytest.mark.parametrize(
    ("dataset", "expected", "planned"),
    [
        ("vllm-ascend/gsm8k-lite", ("gsm8k", None, "gsm8k"), True),
        ("vllm-ascend/gpqa", ("gpqa", None, ""), False),
        ("/nowhere/d", ("d", None, ""), False),
    ],
)
def test_a_dataset_that_is_not_here_is_planned_but_no_night_begins(
    dataset, expected, planned, tmp_path, monkeypatch
):
    monkeypatch.delenv("LAMPLIGHTER_DATASETS", raising=False)
    case, options = (
        case_of(count=1, more=bench(dataset)),
        Request("c", local=True, workspace=str(tmp_path)),
    )
    site = resolve(case, options)
    entry = site.datasets["b"]
    assert (entry.name, entry.path, entry.form) == expected
    (evaluation,) = build(case, site).evaluations
    assert bool(evaluation.argv) == planned
    with pytest.raises(UserError, match=r"c\.yaml: benchmarks\.b\.dataset_path: "):
        require_datasets(case, options)


def test_a_dataset_that_is_not_here_and_a_conf_that_does_not_need_it(tmp_path):
    case = case_of(count=1, more=bench("/nowhere/d", ", dataset_conf: gpqa/gpqa_gen_0_shot_str"))
    site = resolve(case, Request("c", local=True, workspace=str(tmp_path)))
    assert build(case, site).evaluations[0].argv


PINNED = "vllm: '0.32.0'\ndevice: cpu\nspecial_dependencies: {transformers: 5.2.0, einops: 0.8.1}\n"


def test_special_dependencies_make_an_environment_of_their_own(lab):
    site = resolve(case_of(more=PINNED), Request("c", cluster=lab))
    plain = resolve(case_of(more="vllm: '0.32.0'\ndevice: cpu\n"), Request("c", cluster=lab))
    made, bare = site.serving["b"], plain.serving["b"]
    assert re.fullmatch(r"vllm-0\.32\.0\+[0-9a-f]{8}", made.name)
    assert (made.path, made.fingerprint != bare.fingerprint) == (f"/b/envs/{made.name}", True)
    pins = ["einops==0.8.1", "transformers==5.2.0"]
    assert made.spec["packages"] == [*bare.spec["packages"], *pins]
    assert made.spec["overrides"] == [*bare.spec["overrides"], *pins]
    other = resolve(case_of(more=PINNED.replace("5.2.0", "5.3.0")), Request("c", cluster=lab))
    assert other.serving["b"].name != made.name


def test_vllm_router_is_made_where_it_runs(lab):
    apart = "disaggregated_prefill: {prefiller_host_index: [0], decoder_host_index: [1]}\n"
    case = case_of(more=f"{apart}router: {{kind: vllm-router, host: 1}}\n")
    made = resolve(case, Request("c", cluster=lab)).tools["vllm-router"]
    assert (made.host, made.path) == ("b", "/b/envs/vllm-router")
    assert made.spec["packages"] == ["vllm-router==0.1.17"]
    assert resolve(case_of(more=apart), Request("c", cluster=lab)).tools == {}


def test_an_unknown_version_is_named_before_an_unknown_kind_of_device(lab):
    case = case_of(["a", "b"])
    for version, words in (("9.9", "vLLM 9.9 is not in"), ("0.32.0", "kind of device is unknown")):
        with pytest.raises(UserError, match=words):
            resolve(case, Request(cluster=lab, vllm=version))


BENCHMARK = "benchmarks: {{acc: {{case_type: accuracy, max_out_len: 8, batch_size: 1, {}}}}}\n"


@pytest.mark.parametrize(
    ("keys", "words", "doubt"),
    [
        ("dataset_path: aime2024, repeats: auto", "16 passes (auto)", False),
        # Of a dataset that is not here, the number of items is that of its name.
        ("dataset_path: 'vllm-ascend/gpqa-diamond', repeats: auto, num_prompts: 60", "9 passes", 0),
        ("dataset_path: gsm8k, repeats: auto", "1 pass (auto)", False),
        ("dataset_path: gsm8k, repeats: 5", "5 passes", False),
        ("dataset_path: gsm8k", "1 pass", False),
        ("dataset_path: /data/own, dataset_conf: gsm8k/x, repeats: auto", "1 pass (auto)", True),
    ],
)
def test_passes_follow_from_the_case_and_the_number_of_items(keys, words, doubt):
    case = case_of(count=1, more=BENCHMARK.format(keys))
    resolved = resolve(case, Request("c.yaml", local=True))
    assert str(resolved.passes["acc"]).startswith(words)
    assert bool(resolved.passes["acc"].doubt) == doubt
    assert [bool(each) for each in build(case, resolved).warnings] == [True] * doubt
