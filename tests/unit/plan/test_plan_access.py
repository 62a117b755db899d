"""Environment scripts, API keys and TLS of a case → plans."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.case.load import parse
from ci.check.lint import examine
from ci.errors import UserError
from ci.inventory import cluster_file
from ci.k8s.options import Options
from ci.k8s.render import planned
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs
from ci.report.plan.text import as_text, as_values

KEY = "sk-of-nobody-0123"
CASE = """\
test_name: t
model: m
num_nodes: 2
npu_per_node: 1
env_script: [/case.sh, /both.sh]
env_common: {{VLLM_API_KEY: {key}}}
{router}
deployment:
  - server_cmd: "{first}"
  - server_cmd: vllm serve m --port 8001
benchmarks:
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: lamplighter/arithmetic
    num_prompts: 8
    max_out_len: 16
    batch_size: 4
"""
ROUTER = "disaggregated_prefill: {prefiller_host_index: [0], decoder_host_index: [1]}"


def plan_of(first="vllm serve m --port 8000", key=KEY, router="", scripts=()):
    (case,) = parse(CASE.format(first=first, key=key, router=router).encode(), "c.yaml")
    inputs = made_up_inputs(case)
    targets = [replace(target, env_script=tuple(scripts)) for target in inputs.targets]
    return build(case, replace(inputs, targets=tuple(targets)))


def test_scripts_of_the_cluster_come_first_and_each_once():
    plan = plan_of("source /own.sh --force && vllm serve m", scripts=("/cluster.sh", "/both.sh"))
    common = ("/cluster.sh", "/both.sh", "/case.sh")
    assert [server.env_script for server in plan.servers] == [(*common, "/own.sh --force"), common]
    assert plan.evaluations[0].env_script == plan.servers[0].env_script
    text = as_text(plan)
    assert "source /cluster.sh\nsource /both.sh\nsource /case.sh\nsource /own.sh --force\n" in text
    assert as_values(plan)["processes"][1]["env_script"] == list(common)


def test_the_key_is_that_of_router_and_tools_and_never_shown():
    plan = plan_of(router=ROUTER)
    assert plan.router.env["OPENAI_API_KEY"] == KEY
    assert plan.access.env == {"OPENAI_API_KEY": KEY, "EVALSCOPE_API_KEY": KEY}
    assert KEY not in as_text(plan) + str(as_values(plan)) + repr(plan.access)
    assert "export OPENAI_API_KEY='***'" in as_text(plan)


@pytest.mark.parametrize(
    ("flag", "key"), [("--api-key $MINE", ""), ("--api-key=${MINE}", ""), ("", "$MINE")]
)
def test_a_key_under_a_harmless_name_is_not_shown(flag, key):
    text = CASE.format(first=f"vllm serve m {flag}", key=f"'{key}', MINE: {KEY}", router="")
    (case,) = parse(text.encode(), "c.yaml")
    plan = build(case, made_up_inputs(case))
    assert plan.access.key == KEY
    assert KEY not in as_text(plan) + str(as_values(plan))


def test_what_is_reached_without_a_proxy_are_hosts_of_urls():
    """One entry that is none makes every client of httpx fail."""
    hosts = "cluster_hosts: ['ops@npu-1:2222', 'ops@[fd00::2]:22']"
    (case,) = parse(CASE.format(first="vllm serve m", key=KEY, router=hosts).encode(), "c.yaml")
    inputs = made_up_inputs(case)
    named = (
        replace(inputs.hosts[0], name="npu-1-2222"),
        replace(inputs.hosts[1], name="fd00::2-22"),
    )
    addresses = build(case, replace(inputs, hosts=named)).addresses
    assert addresses == ("198.18.0.1", "198.18.0.2", "npu-1-2222", "npu-1", "fd00::2")


def test_tls():
    plan = plan_of("vllm serve m --ssl-certfile /c.pem --ssl-keyfile /k.pem", key="''")
    assert plan.endpoint.url == "https://198.18.0.1:8000"
    assert plan.servers[0].health_url == "https://198.18.0.1:8000/health"
    assert plan.access.env == {"SSL_CERT_FILE": "/c.pem", "REQUESTS_CA_BUNDLE": "/c.pem"}
    with pytest.raises(UserError, match="router asks its servers over http"):
        plan_of("vllm serve m --ssl-certfile /c.pem --ssl-keyfile /k.pem", router=ROUTER)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("vllm serve m --uds /s", "--uds"),
        ("vllm serve m --config /f.yaml", "--config"),
        ("bash run.sh", "set SERVER_PORT"),
        ("/opt/serve.bash", "set SERVER_PORT"),
        ("tcsh run.csh", "set SERVER_PORT"),
        ("vllm serve m | tee log", "pipe"),
        ("bash -c 'cd /x && vllm serve m'", "absolute paths"),
    ],
)
def test_check_refuses_what_it_cannot_ask_at_its_place(command, words):
    text = CASE.format(first=command, key=KEY, router="")
    (found,) = [item for item in examine(text.encode(), "c.yaml") if item.severity == "error"]
    assert words in found.problem.message
    assert (found.problem.line, found.problem.key.partition(".")[0]) == (9, "deployment[0]")


def test_a_script_listens_on_the_port_that_the_case_names():
    text = CASE.format(first="bash run.sh", key=KEY, router="server_port: 8123")
    (case,) = parse(text.encode(), "c.yaml")
    server = build(case, made_up_inputs(case)).servers[0]
    assert (server.port, server.ports, server.env["SERVER_PORT"]) == (8123, (8123,), "8123")


def test_pods_source_no_script():
    (case,) = parse(CASE.format(first="vllm serve m", key=KEY, router="").encode(), "c.yaml")
    options = Options(namespace="n", image="i", pvc="p", name="c")
    with pytest.raises(UserError, match="a pod sources no script"):
        planned(case, options)


def test_a_cluster_file_has_scripts_by_default_and_per_host():
    text = b"""\
defaults: {env_script: /a.sh}
hosts:
  one:
  two: {env_script: [/b.sh --force, ~/c.sh]}
  three: {env_script: }
"""
    targets = cluster_file.parse(text, "cluster.yaml")
    scripts = [target.env_script for target in targets]
    assert scripts == [("/a.sh",), ("/b.sh --force", "~/c.sh"), ()]
    with pytest.raises(UserError, match=r"cluster.yaml:1:\d+: defaults.env_script: .*absolute"):
        cluster_file.parse(text.replace(b"/a.sh", b"a.sh"), "cluster.yaml")
