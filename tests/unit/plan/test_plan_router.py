"""Cases with a router in front, and with services behind → plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.case.load import parse
from ci.case.model import Service
from ci.errors import UserError
from ci.plan.build import build
from ci.plan.model import Preparation
from ci.plan.on_paper import made_up_inputs

CASE = """\
test_name: t
model: m
num_nodes: 3
npu_per_node: 1
env_common: {{SERVER_PORT: 8080, TOKEN: x}}
disaggregated_prefill: {{prefiller_host_index: [0, 1], decoder_host_index: [2]}}
router: {router}
deployment:
  - {{server_cmd: vllm serve m --port $SERVER_PORT}}
  - {{server_cmd: vllm serve m --port 8001 --served-model-name n}}
  - {{server_cmd: vllm serve m --port 8002}}
"""
STORE = Service(
    name="kv-store",
    host=1,
    argv=("python", "-m", "store", "$FOLDER/store.conf"),
    env={"LD_LIBRARY_PATH": "/opt/store:$LD_LIBRARY_PATH"},
    ports=(50051, 50050),
    files={"store.conf": "at ${NODE_1_IP}"},
    server_env={"STORE_CONF": "$FOLDER/client.json"},
    server_files={"client.json": '{"here": "$LOCAL_IP", "store": "${NODE_1_IP}:50051"}'},
)
AT = ("198.18.0.1", "198.18.0.2", "198.18.0.3")


def case_of(router="", **changes):
    [case] = parse(CASE.format(router=router).encode(), "c.yaml")
    return case.model_copy(update=changes)


def plan_of(router="", site=None, **changes):
    case = case_of(router, **changes)
    return build(case, replace(made_up_inputs(case), **(site or {})))


def made(name, host, path):
    return Preparation(name, host, "environment", path, "f", {})


LISTS = (
    *("--prefiller-hosts", AT[0], AT[1], "--prefiller-ports", "8080", "8001"),
    *("--decoder-hosts", AT[2], "--decoder-ports", "8002"),
)


@pytest.mark.parametrize(
    ("router", "argv"),
    [
        ("{script: p.py}", ("python", "p.py", "--host", AT[0], "--port", "1999", *LISTS)),
        (
            "{script: p.py, host: 2, port: 9, arguments: --max-retries 1}",
            ("python", "p.py", "--host", AT[2], "--port", "9", *LISTS, "--max-retries", "1"),
        ),
        (
            "{kind: vllm-router}",
            (
                *("vllm-router", "--vllm-pd-disaggregation"),
                *("--prefill", f"http://{AT[0]}:8080", "--prefill", f"http://{AT[1]}:8001"),
                *("--decode", f"http://{AT[2]}:8002", "--policy", "round_robin"),
                *("--host", AT[0], "--port", "1999"),
            ),
        ),
        (
            "{kind: command, command: './go $NODE_2_IP:$SERVER_PORT --port ${PORT}'}",
            ("./go", f"{AT[2]}:8080", "--port", "1999"),
        ),
    ],
)
def test_command(router, argv):
    assert plan_of(router).router.argv == argv


def test_a_policy_of_the_cases_own_is_the_only_one():
    argv = plan_of("{kind: vllm-router, arguments: --policy random}").router.argv
    assert argv.count("--policy") == 1
    assert argv[-2:] == ("--policy", "random")


def test_the_router_is_the_endpoint_and_starts_last():
    plan = plan_of("{port: 9, host: 1}")
    assert [one.name for one in plan.processes] == ["server-0", "server-1", "server-2", "router"]
    assert (plan.router.role, plan.router.node, plan.router.ports) == ("router", 1, (9,))
    assert plan.router.health_url == f"http://{AT[1]}:9/healthcheck"
    assert (plan.endpoint.url, plan.endpoint.model) == (f"http://{AT[1]}:9", "m")
    assert (plan.leader, plan.ranks) == ("host-1", None)
    assert plan.router.env["TOKEN"] == "x"  # noqa: S105 - made up
    assert plan.router.env["HCCL_IF_IP"] == AT[1]
    assert [process.role for process in plan.servers] == ["prefill", "prefill", "decode"]


def test_vllm_router_runs_from_an_environment_of_its_own():
    tool = made("vllm-router", "host-0", "/w/envs/vllm-router")
    serving = {"host-0": made("vllm-1", "host-0", "/w/envs/vllm-1")}
    plan = plan_of("{kind: vllm-router}", {"tools": {"vllm-router": tool}, "serving": serving})
    assert plan.router.argv[0] == "/w/envs/vllm-router/bin/vllm-router"
    assert plan.router.env["PATH"].startswith("/w/envs/vllm-router/bin:")
    assert [item.name for item in plan.preparations] == ["vllm-1", "vllm-router"]


def test_a_script_runs_from_the_serving_environment_of_its_host():
    serving = {"host-0": made("vllm-1", "host-0", "/w/envs/vllm-1")}
    plan = plan_of("{script: p.py}", {"serving": serving})
    assert plan.router.argv[0] == "/w/envs/vllm-1/bin/python"
    assert [item.name for item in plan.preparations] == ["vllm-1"]


@pytest.mark.parametrize(
    ("router", "changes", "said"),
    [
        ("{port: 8080}", {}, "router and server-0 both use port 8080 of host-0"),
        ("{port: 8001, host: 1}", {}, "router and server-1 both use port 8001 of host-1"),
        ("{port: 50050, host: 1}", {"services": (STORE,)}, "router and kv-store both use port"),
        ("", {"services": (STORE.model_copy(update={"ports": (8001,)}),)}, "kv-store both use"),
        ("", {"services": (STORE.model_copy(update={"argv": ("x", "$Y")}),)}, "variable $Y"),
    ],
)
def test_refused(router, changes, said):
    with pytest.raises(UserError) as refused:
        plan_of(router, **changes)
    assert said in str(refused.value)
    assert str(refused.value).startswith("c.yaml:")


def test_a_service_starts_first_and_every_server_knows_of_it():
    plan = plan_of(services=(STORE,))
    (store,) = plan.services
    folder = "~/.cache/lamplighter/.lamplighter/<host>/<run>/inputs"
    assert plan.processes[0] is store
    assert (store.host, store.role, store.headless, store.health_url) == (
        *("host-1", "service", True, None),
    )
    assert store.argv == ("python", "-m", "store", f"{folder}/kv-store/store.conf")
    assert store.env == {"LD_LIBRARY_PATH": "/opt/store:$LD_LIBRARY_PATH"}
    assert (store.ports, store.port) == ((50050, 50051), 50051)
    assert store.files == {"store.conf": f"at {AT[1]}"}
    for at, server in enumerate(plan.servers):
        assert server.env["STORE_CONF"] == f"{folder}/{server.name}/client.json"
        assert server.files == {
            "client.json": f'{{"here": "{AT[at]}", "store": "{AT[1]}:50051"}}',
        }


def test_a_router_without_anything_to_send_to_is_refused():
    case = case_of()
    nodes = tuple(node.model_copy(update={"role": "mixed"}) for node in case.nodes)
    with pytest.raises(UserError, match="no prefill server answers requests"):
        build(case.model_copy(update={"nodes": nodes}), made_up_inputs(case))


@pytest.mark.parametrize(
    ("router", "folder"),
    [
        ("{kind: script}", "/vllm-workspace/vllm-ascend"),
        ("{kind: script, script: a/proxy.py}", "/vllm-workspace/vllm-ascend"),
        ("{kind: script, script: /vllm-workspace/vllm-ascend/a.py}", "/vllm-workspace/vllm-ascend"),
        # Hosts with a script of their own need no checkout of vllm-ascend.
        ("{kind: script, script: /data/proxy.py}", None),
        ("{kind: script, script: /vllm-workspace/vllm-ascend-2/a.py}", None),
        ("{kind: script, script: /data/proxy.py, folder: /data}", "/data"),
        ("{kind: vllm-router}", None),
    ],
)
def test_the_folder_of_a_router(router, folder):
    assert plan_of(router).router.cwd == folder
