"""Benchmarks that are measured through the router and without it → two evaluations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ci.case.load import parse
from ci.plan.build import build
from ci.plan.evaluations import job_of
from ci.plan.model import Access
from ci.plan.on_paper import made_up_inputs
from ci.report.plan.text import as_text, as_values

CASE = """\
test_name: t
model: m
num_nodes: 3
npu_per_node: 1
disaggregated_prefill: {{prefiller_host_index: [0], decoder_host_index: [1, 2]}}
router: {{kind: command, command: python p.py --port 1999, port: 1999{envs}}}
deployment:
  - {{server_cmd: vllm serve m --port 8000}}
  - {{server_cmd: vllm serve m --port 8001 --headless}}
  - {{server_cmd: vllm serve m --port 8002 --served-model-name n --api-key {key}}}
benchmarks:
  acc: &acc
    case_type: accuracy
    tool: {tool}
    dataset_path: gsm8k
    dataset_conf: {conf}
    max_out_len: 8
    batch_size: 1
    baseline: 90
    threshold: 2
    without_router: true
  once: {{<<: *acc, without_router: false}}
"""
KEY, OTHER = "sk-of-nobody-0123", "sk-of-another-4567"


def plan_of(tool="aisbench", conf="gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", key=KEY, envs=""):
    text = CASE.format(tool=tool, conf=conf, key=key, envs=envs)
    (case,) = parse(text.encode(), "c.yaml")
    inputs = made_up_inputs(case)
    known = {
        name: replace(each, path="/data", form="gsm8k") for name, each in inputs.datasets.items()
    }
    return build(case, replace(inputs, datasets=known))


def test_the_second_evaluation_asks_the_first_decode_server_with_an_api():
    plan = plan_of()
    through, direct, once = plan.evaluations
    names = [each.benchmark.name for each in plan.evaluations]
    assert names == ["acc", "acc-without-router", "once"]
    assert [each.process for each in plan.evaluations] == names
    assert through.endpoint == once.endpoint == plan.endpoint
    assert (direct.endpoint.host, direct.endpoint.port) == ("198.18.0.3", 8002)
    assert (through.endpoint.model, direct.endpoint.model) == ("m", "n")
    assert (through.server, direct.server, once.server) == ("", "server-2", "")
    same = ("dataset", "host", "bin", "tokenizer", "env_script")
    assert all(getattr(through, key) == getattr(direct, key) for key in same)
    assert (through.benchmark.expected, direct.benchmark.expected) == ((90, 2), None)
    assert [each.name for each in plan.case.benchmarks] == ["acc", "once"]


def test_the_second_evaluation_has_the_key_of_its_server():
    plan = plan_of(envs=f", envs: {{OPENAI_API_KEY: {OTHER}}}")
    through, direct, _ = plan.evaluations
    assert (plan.access_of(through), plan.access_of(direct)) == (Access(OTHER), Access(KEY))


@pytest.mark.parametrize(
    ("tool", "conf"),
    [
        ("aisbench", "gsm8k/gsm8k_gen_0_shot_cot_chat_prompt"),
        ("evalscope", "gsm8k"),
        ("lm_eval", "null"),
        ("lm_eval", "gsm8k"),
    ],
)
def test_its_requests_use_no_cache_that_other_requests_left(tool, conf):
    """The decode server may still have the KV cache of the same prompts, from a prefill server."""
    through, direct, _ = plan_of(tool, conf).evaluations
    assert job_of(through, "/f").cache_salt == ""
    assert job_of(direct, "/f").cache_salt == "acc-without-router"


def test_the_plan_shows_which_server_is_asked():
    plan = plan_of()
    text = as_text(plan)
    assert "acc, once          → router http://198.18.0.1:1999  (requests)" in text
    assert "acc-without-router → server-2 http://198.18.0.3:8002  (requests)" in text
    title = "acc-without-router with aisbench: all items of gsm8k, without the router, at server-2:"
    assert title in text
    assert KEY not in text
    benchmarks = as_values(plan)["benchmarks"]
    assert "http://198.18.0.3:8002" in str(benchmarks[1])
    assert KEY not in str(benchmarks)
    assert "198.18.0.3" in benchmarks[1]["env"]["no_proxy"]
    assert "acc-without-router" in as_text(plan, host="2")
