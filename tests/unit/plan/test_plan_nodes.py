"""Cases of several nodes → plans: addresses, ports, ranks, endpoint; and what cannot fit."""

from __future__ import annotations

import re

import pytest
from plans import case_of, plan_of, preparation, site_of

from ci.errors import UserError
from ci.plan.build import build
from ci.report.plan.text import as_text, as_values
from ci.tools.model import Dataset
from ci.vllm.command_line import option

HEAD = "vllm serve m --port 8080 --data-parallel-size 2 --data-parallel-size-local 1"
HEAD += " --data-parallel-address $LOCAL_IP --data-parallel-rpc-port 13389"
WORKER = HEAD.replace("LOCAL", "MASTER") + " --headless --data-parallel-start-rank 1"


def test_a_head_and_a_headless_worker():
    plan = plan_of(HEAD, WORKER, site={"workspace": "/w{}"})
    head, worker = plan.servers
    assert (head.host, head.headless, head.ports) == ("n0", False, (8080, 13389))
    assert (worker.host, worker.headless, worker.ports) == ("n1", True, ())
    assert (head.health_url, worker.health_url) == ("http://10.0.0.1:8080/health", None)
    assert option(worker.argv, "--data-parallel-address") == "10.0.0.1"
    assert (plan.leader, plan.endpoint.url, plan.ranks) == ("n0", "http://10.0.0.1:8080", 2)
    assert worker.env["VLLM_HOST_IP"] == "10.0.0.2"
    assert plan.workspace == "/w1"


def test_the_head_may_come_later():
    plan = plan_of((WORKER, {"master_index": 1}), (HEAD, {"master_index": 1}))
    assert (plan.leader, plan.endpoint.host) == ("n1", "10.0.0.2")
    assert option(plan.servers[0].argv, "--data-parallel-address") == "10.0.0.2"
    assert [process.ports for process in plan.servers] == [(), (8080, 13389)]


@pytest.mark.parametrize(
    ("variable", "values"),
    [
        ("$LOCAL_IP", ("10.0.0.1", "10.0.0.2")),
        ("$MASTER_IP", ("10.0.0.1", "10.0.0.1")),
        ("$NIC_NAME", ("eth0", "eth0")),
        ("$NODE_INDEX/$NODE_RANK", ("0/0", "1/1")),
        ("$NUM_NODES", ("2", "2")),
        ("$NPU_PER_NODE", ("4", "4")),
        ("$MODEL", ("m", "m")),
        ("${WORKSPACE}/x", ("/w1/x", "/w2/x")),
    ],
)
def test_variables_of_each_node(variable, values):
    plan = plan_of(f"serve {variable}", f"serve {variable}", site={"workspace": "/w{}"})
    assert tuple(process.argv[1] for process in plan.servers) == values


def test_the_hosts_network_wins_as_in_the_fields_own_runner():
    own = "{NCCL_SOCKET_IFNAME: bond0, VLLM_HOST_IP: $MASTER_IP, GLOO_SOCKET_IFNAME: bond0}"
    worker = plan_of(HEAD, WORKER, env_common=own).processes[1]
    assert worker.env["NCCL_SOCKET_IFNAME"] == "bond0"
    assert worker.env["VLLM_HOST_IP"] == "10.0.0.1"
    assert worker.env["GLOO_SOCKET_IFNAME"] == "eth0"


def test_an_interface_that_no_host_was_asked_for_stands_as_such():
    plan = plan_of(HEAD, WORKER, site={"interface": ""})
    assert plan.servers[1].env["HCCL_SOCKET_IFNAME"] == "<interface of n1>"
    assert "interface asked of the host" in as_text(plan)


def test_several_nodes_on_one_host_are_one_host():
    plan = plan_of(HEAD, WORKER, names=["n0", "n0"])
    assert [host.name for host in plan.hosts] == ["n0"]
    assert {process.host for process in plan.servers} == {"n0"}


def test_environment_and_model_are_made_on_every_host_once_and_tools_where_they_run():
    bench = "{case_type: performance, dataset_path: d, tool: aisbench, num_prompts: 2, "
    bench += "request_conf: vllm_api_stream_chat, max_out_len: 4, batch_size: 2, baseline: 5, "
    bench += "threshold: 0.9}"
    hosts = ("n0", "n1")
    plan = plan_of(
        HEAD,
        WORKER,
        benchmarks=f"{{perf: {bench}}}",
        site={
            "serving": {one: preparation("vllm-1", one, "environment", "/e") for one in hosts},
            "model": {one: preparation("m", one, "model", "/m") for one in hosts},
            "tools": {"aisbench": preparation("aisbench", "n0", "environment", "/a")},
            "datasets": {"perf": Dataset("d", "/data/d", "gsm8k", 40)},
        },
    )
    listed = [(item.name, item.host) for item in plan.preparations]
    assert listed == [
        *(("vllm-1", "n0"), ("vllm-1", "n1")),
        *(("m", "n0"), ("m", "n1")),
        ("aisbench", "n0"),
    ]
    assert [len(items) for items in plan.preparations_by_name] == [2, 2, 1]
    assert [item.host for item in plan.evaluations] == ["n0"]


@pytest.mark.parametrize(
    ("command", "env", "ports"),
    [
        ("vllm serve m", {}, (8000,)),
        ("vllm serve m --port 9 --grpc-port 10", {}, (9, 10)),
        ("vllm serve m --port 9 --data-parallel-rpc-port 10", {}, (9,)),
        ("vllm serve m --port 9 -dp 2 -dpp 10", {}, (9,)),
        ("vllm serve m --port 9 -dp 2 -dpl 2 -dpa $LOCAL_IP -dpp 10", {}, (9,)),
        ("vllm serve m --port 9 --nnodes 2 --master-port 11 --node-rank 0", {}, (9, 11)),
        ("vllm serve m --port 9 --nnodes 2", {}, (9, 29501)),
        ("vllm serve m --port 9 --nnodes 2 --node-rank 1 --master-port 11", {}, (9,)),
        ("vllm serve m --port 9", {"HCCL_IF_BASE_PORT": 100}, (9, *range(100, 116))),
        ("vllm serve m", {"VLLM_DP_MASTER_PORT": 9, "VLLM_DP_MASTER_IP": "$LOCAL_IP"}, (9, 8000)),
        ("vllm serve m", {"VLLM_DP_MASTER_PORT": 9, "VLLM_DP_MASTER_IP": "10.0.0.9"}, (8000,)),
        ("vllm serve m", {"VLLM_NIXL_SIDE_CHANNEL_PORT": 5600}, (5600, 8000)),
    ],
)
def test_ports(command, env, ports):
    text = ", ".join(f"{key}: {value}" for key, value in env.items())
    (process,) = plan_of(command, env_common=f"{{{text}}}").processes
    assert process.ports == ports


def test_a_head_without_a_port_for_its_ranks_takes_vllms_own():
    plan = plan_of(
        HEAD.replace("--data-parallel-rpc-port 13389", ""),
        WORKER.replace("--data-parallel-rpc-port 13389", ""),
    )
    assert plan.servers[0].ports == (8080, 29550)


@pytest.mark.parametrize(
    ("commands", "ranks"),
    [
        (["vllm serve m"], None),
        (["vllm serve m -dp 4"], 4),
        (["vllm serve m --data_parallel_size=4"], 4),
        ([f"{HEAD} --data-parallel-start-rank 0", WORKER], 2),
        ([HEAD.replace("8080", "1"), WORKER.replace("--headless", "")], None),
        ([f"{HEAD} --data-parallel-hybrid-lb", f"{WORKER} -dph".replace("--headless", "")], None),
        (["vllm serve m -dp 2 -dpn 0 -dpa $MASTER_IP", "vllm serve m -dp 2 -dpn 1 -dpa $MASTER_IP"],
         None),
        (["vllm serve m --nnodes 2 -dp 2", "vllm serve m --nnodes 2 -r 1 -dp 2 --headless"], None),
    ],
)  # fmt: skip
def test_ranks_behind_the_endpoint(commands, ranks):
    assert plan_of(*commands).ranks == ranks


@pytest.mark.parametrize(
    ("commands", "names", "words"),
    [
        (["serve --port 9", "serve --port 9"], ["n0", "n0"],
         "server-1 and server-0 both use port 9 of n0"),
        (["serve --port 9", "serve --port 8 --grpc-port 9"], ["n0", "n0"], "both use port 9"),
        ([HEAD, WORKER.replace("-size 2", "-size 4")], None,
         "server-1 has --data-parallel-size 4, but server-0 with the same head has 2"),
        ([HEAD, WORKER.replace("rank 1", "rank 0")], None,
         "server-1 and server-0 both have data-parallel rank 0"),
        ([HEAD, WORKER.replace("rank 1", "rank 2")], None,
         "server-1 has data-parallel ranks 2, but --data-parallel-size is 2"),
        ([HEAD.replace("size 2", "size 4"), WORKER.replace("size 2", "size 4")], None,
         "is 4, but the servers of one head (server-0, server-1) have only 2"),
        ([HEAD, WORKER.replace("13389", "13390")], None,
         "--data-parallel-rpc-port is 13390, but server-0 with the same --data-parallel-address"),
        ([WORKER, HEAD], None, "reports to 10.0.0.1, where every server is --headless"),
        ([WORKER], None, "every server is --headless"),
        (["serve --data-parallel-rpc-port 70000"], None, "--data-parallel-rpc-port 70000 is not"),
        (["serve --nnodes 2 --master-port x"], None, "--master-port x is not a port"),
    ],
)  # fmt: skip
def test_what_cannot_fit_is_refused(commands, names, words):
    with pytest.raises(UserError) as refused:
        plan_of(*commands, names=names)
    assert words in str(refused.value)
    assert re.match(r"c\.yaml:(\d+:\d+:)? deployment", str(refused.value))


@pytest.mark.parametrize(
    "commands",
    [
        ["serve --port 9", "serve --port 10"],
        ["serve --port 9", "serve --port 9 --headless"],
        [HEAD, WORKER],
    ],
)
def test_what_fits_on_one_host(commands):
    assert len(plan_of(*commands, names=["n0", "n0"]).hosts) == 1


@pytest.mark.parametrize(
    ("bound", "url"),
    [
        ("", "http://10.0.0.1:9"),
        ("--host 0.0.0.0", "http://10.0.0.1:9"),
        ("--host $LOCAL_IP", "http://10.0.0.1:9"),
        ("--host localhost", "http://127.0.0.1:9"),
        ("--host ::1", "http://[::1]:9"),
    ],
)
def test_a_server_is_asked_where_it_listens(bound, url):
    plan = plan_of(f"serve --port 9 {bound}")
    assert (plan.endpoint.url, plan.servers[0].health_url) == (url, f"{url}/health")


def test_hosts_without_a_case_are_planned_as_such():
    case = case_of("serve").model_copy(update={"nodes": (), "num_hosts": 0})
    plan = build(case, site_of(2))
    assert [host.name for host in plan.hosts] == ["n0", "n1"]
    assert (plan.servers, plan.preparations, plan.evaluations) == ((), (), ())


def test_the_text_says_of_each_node_where_it_runs_and_what_it_does():
    text = as_text(plan_of(HEAD, WORKER, site={"workspace": "/w{}"}))
    assert "endpoint   http://10.0.0.1:8080, in front of 2 data-parallel ranks" in text
    assert "node 0     n0: 10.0.0.1 (eth0), workspace /w1, leads" in text
    assert "node 1     n1: 10.0.0.2 (eth0), workspace /w2" in text
    assert "On n1, start server-1 (mixed, headless):" in text
    assert "listens on 8080, 13389" in text
    assert "every server alive, health 200, all 2 ranks in its metrics" in text


def test_values_of_several_hosts():
    values = as_values(plan_of(HEAD, WORKER))
    assert [host["address"] for host in values["hosts"]] == ["10.0.0.1", "10.0.0.2"]
    assert [process["ports"] for process in values["processes"]] == [[8080, 13389], []]
    assert (values["leader"], values["ranks"]) == ("n0", 2)
