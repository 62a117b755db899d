"""Deployment files of the field → plans, against the rules of the field's own runner.

The rules are written here once more, from that runner, on the plain document. Where the plan means
to differ, the test says so.
"""

from __future__ import annotations

import re
import shlex

import pytest
import yaml
from corpus import corpus_files, needs_corpus

from ci.case.load import load
from ci.errors import UserError
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs
from ci.vllm.command_line import option, parallel

FOLDERS = ("seed_era", "internal_dp", "weekly/multi_node/internal_dp")
# File → a part of the reason. Only true defects.
ERRORS = {
    # Its worker lacks --data-parallel-rpc-port, so it connects to 29550, but the head listens
    # on 13389; vllm-ascend corrected it later.
    "seed_era/history_last/config/GLM5_1-W8A8-A3-dual-nodes.yaml": "--data-parallel-rpc-port is "
    "missing, but server-0 with the same --data-parallel-address has 13389",
}
PROXY = "examples/disaggregated_prefill_v1/load_balance_proxy_server_example.py"
# What the plan adds: vLLM's own address, and the interface of GPUs' collectives.
OURS = {"VLLM_HOST_IP", "NCCL_SOCKET_IFNAME"}

pytestmark = needs_corpus


def separation(document):
    section = document.get("disaggregated_prefill") or {"enabled": False}
    return section if section.get("enabled", True) else None


def master_of(document, at):
    roles = separation(document)
    given = document["deployment"][at].get("master_index")
    if given is not None:
        return given
    return (
        0
        if roles is None or at in roles["prefiller_host_index"]
        else roles["decoder_host_index"][0]
    )


def env_of(document, at, addresses, interface):
    entry = document["deployment"][at]
    own = entry.get("envs") or entry.get("env_extend") or {}
    network = {
        "HCCL_IF_IP": addresses[at],
        **dict.fromkeys(("HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"), interface),
        **dict.fromkeys(("TP_SOCKET_IFNAME", "NIC_NAME"), interface),
        "LOCAL_IP": addresses[at],
        "MASTER_IP": addresses[master_of(document, at)],
    }
    return {k: str(v) for k, v in {**document["env_common"], **own, **network}.items()}


def argv_of(document, at, env):
    text = document["deployment"][at]["server_cmd"]
    return tuple(shlex.split(re.sub(r"\$\{?(\w+)\}?", lambda m: env[m[1]], text)))


def proxy_of(document, addresses, argvs):
    roles = separation(document)
    if roles is None:
        return None
    lists = []
    for name, key in (("prefiller", "prefiller_host_index"), ("decoder", "decoder_host_index")):
        # A headless one is no target, and each is asked at its own port.
        there = [at for at in roles[key] if "--headless" not in argvs[at]]
        ports = [argvs[at][argvs[at].index("--port") + 1] for at in there]
        lists += [f"--{name}-hosts", *(addresses[at] for at in there), f"--{name}-ports", *ports]
    script = document["env_common"].get("DISAGGREGATED_PREFILL_PROXY_SCRIPT", PROXY)
    return ("python", script, "--host", addresses[0], "--port", "1999", *lists)


@pytest.mark.parametrize("path", corpus_files(*FOLDERS))
def test_plans_as_the_fields_own_runner(path, request):
    [case] = load(path)
    site = made_up_inputs(case)
    if reason := ERRORS.get(request.node.callspec.id):
        with pytest.raises(UserError, match=reason):
            build(case, site)
        return
    plan = build(case, site)
    document = yaml.safe_load(path.read_bytes())
    addresses = [host.address for host in site.hosts]
    envs = [env_of(document, at, addresses, "eth0") for at in range(case.num_hosts)]
    argvs = [argv_of(document, at, env) for at, env in enumerate(envs)]
    assert [process.argv for process in plan.servers] == argvs
    for process, env in zip(plan.servers, envs, strict=True):
        assert {k: v for k, v in process.env.items() if k not in OURS - env.keys()} == env
        assert process.headless == ("--headless" in process.argv)
    proxy = proxy_of(document, addresses, argvs)
    assert (plan.router and plan.router.argv) == proxy
    if plan.router:
        assert plan.endpoint.url == f"http://{addresses[0]}:1999"
        assert plan.router.health_url == f"http://{addresses[0]}:1999/healthcheck"
        assert plan.router.env.items() >= envs[0].items()
    assert plan.leader == site.hosts[0].name


@pytest.mark.parametrize("path", corpus_files(*FOLDERS))
def test_what_answers_is_asked_where_it_listens(path, request):
    if request.node.callspec.id in ERRORS:
        return
    [case] = load(path)
    plan = build(case, made_up_inputs(case))
    for process in plan.servers:
        listens = option(process.argv, "--port")
        if not process.headless:
            assert process.health_url.endswith(f":{listens}/health")
            assert int(listens) in process.ports
    heads = [process for process in plan.servers if not process.headless]
    share = parallel(heads[0].argv)
    if plan.router is None:
        assert len(heads) == 1
        assert plan.ranks == (share.size if share else None)
    else:
        assert plan.ranks is None


@pytest.mark.parametrize("path", corpus_files(*FOLDERS))
def test_roles_are_those_of_the_lists(path):
    [case] = load(path)
    roles = separation(yaml.safe_load(path.read_bytes()))
    for node in case.nodes:
        if roles is None:
            assert node.role == "mixed"
        else:
            assert (node.host in roles["prefiller_host_index"]) == (node.role == "prefill")
            assert node.role in {"prefill", "decode"}
