"""Case + site → plan: argv, environment, ports, names, order; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ci.case.load import parse
from ci.case.variables import VARIABLES, expand, expand_env, names
from ci.errors import UserError
from ci.inventory.target import Target
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host, Preparation
from ci.plan.on_paper import made_up_inputs
from ci.plan.servers import host_variables
from ci.report.plan.text import as_text, as_values
from ci.tools.model import Dataset

CASE = """\
test_name: t
model: {model}
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
env_common:
  SERVER_PORT: 8080
  LD_LIBRARY_PATH: "/opt/lib:$LD_LIBRARY_PATH"
  API_KEY: hush-hush
deployment:
  - server_cmd: {command}
benchmarks:
  acc: {{case_type: accuracy, dataset_path: d, tool: {tool}, request_conf: {conf},
        num_prompts: 8, max_out_len: 4, batch_size: 2, baseline: 50, threshold: 5}}
{more}
"""
MORE = "8 items of d, which has no more (9 are asked for), acc"
SERVING = Preparation("vllm-1", "localhost", "environment", "/w/envs/vllm-1", "f", {})
MODEL = Preparation("tiny", "localhost", "model", "/w/models/tiny", "f", {})
TOOL = Preparation("aisbench", "localhost", "environment", "/w/envs/aisbench", "f", {})
DATASET = Dataset("d", "/data/d", "gsm8k", 40)


def plan_of(
    command: str = "vllm serve $MODEL --port $SERVER_PORT",
    *,
    tool: str = "aisbench",
    more: str = "",
    conf: str = "vllm_api_general_chat",
    **site: Any,
):
    text = CASE.format(command=f"'{command}'", model="tiny", tool=tool, more=more, conf=conf)
    settings = {
        "targets": (Target("localhost", "localhost"),),
        "hosts": (Host("localhost", "127.0.0.1", "lo", "/w"),),
        "serving": {"localhost": SERVING},
        "tools": {"aisbench": TOOL, "lm_eval": replace(TOOL, path="/w/envs/lm_eval")},
        "model": {"localhost": MODEL},
        "datasets": dict.fromkeys(("acc", "perf"), DATASET),
    }
    return build(parse(text.encode(), "c.yaml")[0], PlanInputs(**(settings | site)))


@pytest.mark.parametrize(
    ("command", "argv", "port"),
    [
        ("vllm serve $MODEL", ("/w/envs/vllm-1/bin/vllm", "serve", "/w/models/tiny"), 8000),
        (
            "vllm serve ${MODEL} --port $SERVER_PORT",
            ("/w/envs/vllm-1/bin/vllm", "serve", "/w/models/tiny", "--port", "8080"),
            8080,
        ),
        (
            "python -m server --port=9 --port=10 --host $LOCAL_IP",
            (
                *("/w/envs/vllm-1/bin/python", "-m", "server", "--port=9", "--port=10"),
                *("--host", "127.0.0.1"),
            ),
            10,
        ),
        ("/usr/bin/vllm serve x", ("/usr/bin/vllm", "serve", "x"), 8000),
    ],
)
def test_argv_and_port(command, argv, port):
    (process,) = plan_of(command).processes
    assert (process.argv, process.port) == (argv, port)
    assert process.health_url == f"http://127.0.0.1:{port}/health"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("vllm serve /m/x --served-model-name a b", "a"),
        ("vllm serve /m/x", "/m/x"),
        ("python -m vllm.entrypoints.openai.api_server --model /m/y", "/m/y"),
        ("./serve.sh", "tiny"),
    ],
)
def test_the_model_that_clients_ask_for(command, name):
    assert plan_of(command).endpoint.model == name


def test_environment_is_the_cases_own_with_the_hosts_network_and_the_environments_folder():
    (process,) = plan_of().processes
    assert process.env == {
        "SERVER_PORT": "8080",
        "LD_LIBRARY_PATH": "/opt/lib:$LD_LIBRARY_PATH",
        "API_KEY": "hush-hush",
        "VLLM_HOST_IP": "127.0.0.1",
        "HCCL_IF_IP": "127.0.0.1",
        "HCCL_SOCKET_IFNAME": "lo",
        "GLOO_SOCKET_IFNAME": "lo",
        "TP_SOCKET_IFNAME": "lo",
        "LOCAL_IP": "127.0.0.1",
        "MASTER_IP": "127.0.0.1",
        "NIC_NAME": "lo",
        "NCCL_SOCKET_IFNAME": "lo",
        "PATH": "/w/envs/vllm-1/bin:$PATH",
    }


def test_without_an_environment_of_ours_the_hosts_vllm_is_taken():
    plan = plan_of("vllm serve /m/x", serving={}, model={})
    assert plan.servers[0].argv[0] == "vllm"
    assert "PATH" not in plan.servers[0].env
    assert [item.name for item in plan.preparations] == ["aisbench"]


def test_a_tool_of_the_hosts_own_is_left_to_its_path():
    bench = "perf: {case_type: performance, dataset_path: d, tool: vllm_bench, num_prompts: 2,"
    more = f"  {bench} max_out_len: 4, batch_size: 2, baseline: 5, threshold: 0.9}}"
    plan = plan_of("vllm serve /m/x", more=more, serving={}, model={})
    assert plan.evaluations[1].argv[:2] == ("vllm", "bench")


def test_only_what_the_case_needs_is_made_and_the_model_after_its_environment():
    assert [item.name for item in plan_of().preparations] == ["vllm-1", "tiny", "aisbench"]


def test_the_same_input_gives_the_same_plan():
    assert plan_of() == plan_of()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": "vllm serve $NOWHERE"}, "unknown variable $NOWHERE"),
        ({"command": "vllm serve x --port 0"}, "--port 0 is not a port"),
        ({"command": "vllm serve x --port many"}, "--port many is not a port"),
        ({"tool": "vllm_bench"}, "benchmarks.acc.tool: vllm_bench does not measure accuracy"),
        ({"conf": "no_such_conf"}, "benchmarks.acc: "),
        ({"hosts": ()}, "1 node and 0 hosts"),
        ({"command": "vllm serve x --headless"}, "every server is --headless"),
    ],
)
def test_refused(changes, words):
    with pytest.raises(UserError) as refused:
        plan_of(**changes)
    assert words in str(refused.value)
    assert "c.yaml" in str(refused.value)


def test_text_has_every_command_ready_to_paste_and_no_secret():
    text = as_text(plan_of())
    assert "/w/envs/vllm-1/bin/vllm serve /w/models/tiny --port 8080" in text
    assert 'export PATH="/w/envs/vllm-1/bin:$PATH"' in text
    assert "8 items of d, accuracy ≥ 50 - 5 pp" in text
    assert "hush-hush" not in text


def test_text_says_how_many_are_asked_of_a_small_dataset():
    plan = plan_of()
    [one] = plan.evaluations
    for asked, items, text in (
        (8, 8, "8 items of d, acc"),
        (9, 8, MORE),
        (None, 0, "all items of d"),
    ):
        benchmark = one.benchmark.model_copy(update={"num_prompts": asked})
        dataset = replace(one.dataset, items=items)
        changed = replace(one, benchmark=benchmark, dataset=dataset)
        assert text in as_text(replace(plan, evaluations=(changed,)))


def test_values_have_the_documented_shape():
    values = as_values(plan_of())
    assert values["case"] == "c"
    host = {"name": "localhost", "address": "127.0.0.1", "interface": "lo", "workspace": "/w"}
    assert (values["hosts"], values["leader"], values["ranks"]) == ([host], "localhost", None)
    (process,) = values["processes"]
    assert set(process) == {
        *("name", "node", "host", "role", "headless", "argv", "env", "port", "health_url", "ports"),
        *("cwd", "files", "env_script"),
    }
    assert process["env"]["API_KEY"] == "***"
    assert values["endpoint"]["url"] == "http://127.0.0.1:8080"
    assert [item["name"] for item in values["benchmarks"]] == ["acc"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$A-${B}", "1-2"),
        ("$PATH:/x", "$PATH:/x"),
        ("cost: 5$", "cost: 5$"),
        ("$1", "unknown variable $1"),
    ],
)
def test_expand(text, value):
    if value.startswith("unknown"):
        with pytest.raises(UserError, match=r"unknown variable \$1"):
            expand(text, {"A": "1", "B": "2"}, "here")
    else:
        assert expand(text, {"A": "1", "B": "2"}, "here") == value


def test_values_may_refer_to_one_another_but_not_in_a_circle():
    assert expand_env({"A": "$B/x", "B": "$C", "C": "c"}, {}, "e")["A"] == "c/x"
    with pytest.raises(UserError, match="refers to itself: A → B → A"):
        expand_env({"A": "x$B", "B": "y$A"}, {}, "e")


def test_every_variable_that_servers_have_is_in_the_table_and_the_other_way_round():
    case = parse(
        CASE.format(command="x", model="m", tool="aisbench", conf="x", more="").encode(), "c"
    )
    known = host_variables(case[0], made_up_inputs(case[0]), 0, "p")
    assert set(known) == names(1)
    table = {one.name.replace("<i>", "0") for one in VARIABLES}
    assert set(known) < table
    assert len(table) == len(VARIABLES)
    assert all(one.meaning and one.source for one in VARIABLES)
