"""Test that files of other tools become cases that `inv check` passes; losses are named."""

import json

import pytest

from ci.case.load import parse
from ci.check.lint import examine
from ci.commands.case_import import converted_of, import_case
from ci.errors import CaseError, UserError

TESTS = {
    "defaults": {
        "qps_list": ["inf", 4],
        "max_concurrency_list": [8, 16],
        "server_environment_variables": {"VLLM_CPU_KVCACHE_SPACE": 40},
        "server_parameters": {"model": "org/small", "tensor_parallel_size": 1, "dtype": "bfloat16"},
        "client_parameters": {"backend": "vllm", "ignore-eos": "", "num_prompts": 100},
    },
    "tests": [
        {
            "test_name": "short",
            "server_parameters": {
                "tensor_parallel_size": 2,
                "no_enable_prefix_caching": "",
                "hf_overrides": {"a": 1},
            },
            "client_parameters": {"random-input-len": 2048, "random-output-len": 64},
        },
        {
            "test_name": "talk",
            "client_parameters": {
                "backend": "openai-chat",
                "dataset_name": "sharegpt",
                "burstiness": 0.5,
                "temperature": 0,
            },
        },
        {"test_name": "vectors", "client_parameters": {"backend": "openai-embeddings"}},
    ],
}
RECIPE = """\
name: pd
model: {path: "hf:org/big", container: "vllm/vllm-openai:v0.30.0"}
resources:
  gpus_per_node: 4
  prefill_nodes: 2
  decode_nodes: 4
  prefill_workers: 1
  decode_workers: 2
slurm: {time_limit: "1:00:00"}
health_check: {max_attempts: 360, interval_seconds: 10}
frontend: {type: dynamo}
backend:
  type: vllm
  prefill_environment: {NCCL_CUMEM_ENABLE: "1"}
  vllm_config:
    prefill:
      tensor-parallel-size: 1
      data-parallel-size: 8
      data-parallel-rpc-port: 13345
      enable-expert-parallel: true
      no-enable-prefix-caching: true
    decode: {tensor-parallel-size: 8, max-model-len: 16384}
benchmark: {type: sa-bench, isl: 8192, osl: 1024, concurrencies: "256x512", req_rate: inf}
"""
ROLES = """\
schema: 2
name: one
model: {path: small}
resources: {gpus_per_node: 8}
frontend: {type: vllm-router}
engine: {type: vllm, connector: nixl}
roles:
  prefill: {nodes: 1, workers: 1, args: {tensor-parallel-size: 1}}
  decode: {nodes: 0, workers: 1, env: {A: b}, args: {tensor-parallel-size: 1}}
benchmark: {type: mmlu}
"""
AGGREGATED = """\
name: agg
model: {path: /models/m}
resources: {gpus_per_node: 8, agg_nodes: 4, agg_workers: 2}
backend:
  type: vllm
  vllm_config: {aggregated: {tensor_parallel_size: 8, pipeline_parallel_size: 2}}
benchmark: {type: gsm8k}
"""


def cases_of(text):
    converted = converted_of(text.encode(), "f.yaml")
    assert [x for x in examine(converted.text.encode(), "c.yaml") if x.severity == "error"] == []
    assert all(f"# - {' '.join(line.split())}\n" in converted.text for line in converted.lost)
    return parse(converted.text.encode(), "c.yaml"), converted.lost


def test_serving_tests():
    (short, talk), lost = cases_of(json.dumps(TESTS))
    assert short.nodes[0].argv == (
        *("vllm", "serve", "org/small", "--port", "$SERVER_PORT", "--tensor-parallel-size", "2"),
        *("--dtype", "bfloat16", "--no-enable-prefix-caching", "--hf-overrides", '{"a": 1}'),
    )
    assert short.nodes[0].env["VLLM_CPU_KVCACHE_SPACE"] == "40"
    benches = [(b.tool, b.batch_size, b.request_rate, b.max_out_len) for b in short.benchmarks]
    assert benches == [("vllm_bench", c, r, 64) for r in (0, 4) for c in (8, 16)]
    assert {b.request_conf for b in short.benchmarks} == {"vllm_api_general_stream"}
    assert {(b.request_conf, b.temperature) for b in talk.benchmarks} == {
        ("vllm_api_stream_chat", 0)
    }
    assert {b.input_len for b in short.benchmarks} == {2048}
    assert {(b.dataset_conf, b.burstiness) for b in talk.benchmarks} == {
        ("sharegpt", None),  # without a rate
        ("sharegpt", 0.5),
    }
    assert lost == (
        "talk: the dataset's file: put it into a folder sharegpt in LAMPLIGHTER_DATASETS",
        "talk: answers as long as those of the dataset: max_out_len has 128",
        "vectors: not converted, its requests are of openai-embeddings",
    )


def test_prompts_of_serving_tests():
    client = {
        "images": {"dataset_name": "random-mm", "random-input-len": 300, "random-prefix-len": 25},
        "vary": {"dataset_name": "random", "random-range-ratio": 0.2, "random-output-len": 9},
        "repeat": {
            "dataset_name": "prefix_repetition",
            "prefix_repetition_prefix_len": 512,
            "prefix_repetition_suffix_len": 64,
            "prefix_repetition_num_prefixes": 5,
            "prefix_repetition_output_len": 32,
        },
    }
    server = {"model": "m/x", "limit_mm_per_prompt": "'{\"image\": 3}'"}
    tests = [
        {"test_name": name, "server_parameters": server, "client_parameters": own}
        for name, own in client.items()
    ]
    cases, lost = cases_of(json.dumps([*tests, {"dataset_name": "sharegpt"}]))
    assert cases[0].nodes[0].argv[-2:] == ("--limit-mm-per-prompt", '{"image": 3}')
    benches = [case.benchmarks[0] for case in cases]
    assert [(b.input_len, b.prefix_len, b.range_ratio, b.max_out_len) for b in benches] == [
        (300, 25, None, 128),
        (1024, None, 0.2, 9),
        (64, 512, None, 32),
    ]
    assert [(b.dataset_conf, b.num_prefixes) for b in benches] == [
        (None, None),
        (None, None),
        ("prefix_repetition", 5),
    ]
    assert lost == (
        "images: prompts of random-mm: vllm_bench sends random prompts",
        "entry 3 of tests: not converted, it has no test_name",
    )


def test_a_recipe_with_workers_over_several_nodes():
    [case], lost = cases_of(RECIPE)
    assert (case.model, case.num_hosts, case.npu_per_node) == ("org/big", 6, 4)
    assert [node.role for node in case.nodes] == ["prefill"] * 2 + ["decode"] * 4
    assert [node.headless for node in case.nodes] == [False, True] * 3
    first, second, decode = (" ".join(case.nodes[index].argv) for index in (0, 1, 5))
    group = "--data-parallel-address $NODE_0_IP --data-parallel-rpc-port 13345"
    assert f"--data-parallel-size-local 4 {group}" in first
    assert f"--data-parallel-start-rank 4 {group} --headless" in second
    assert "--nnodes 2 --node-rank 1 --master-addr $NODE_4_IP --headless" in decode
    assert '"kv_connector": "NixlConnector"' in decode
    assert (case.router.kind, case.ready_timeout_s) == ("vllm-router", 3600)
    assert [(b.batch_size, b.num_prompts) for b in case.benchmarks] == [(256, 2560), (512, 5120)]
    assert {b.input_len for b in case.benchmarks} == {8192}
    assert [line.partition(":")[0].partition(" ")[0] for line in lost] == [
        *("slurm", "model.container", "frontend", "benchmark.random_range_ratio"),
    ]


def test_identity_and_load_of_a_recipe():
    recipe = RECIPE.replace('"hf:org/big"', "alias").replace(
        "no-enable-prefix-caching", "attention_config.use_x"
    )
    identity = "identity: {model: {repo: org/real}, frameworks: {vllm: 0.20.0}}\n"
    load = "num_prompts_mult: 4, random_range_ratio: 1.0, tokenizer_mode: x, req_rate: 2}"
    recipe = recipe.replace("req_rate: inf}", load).replace("type: sa-bench", "type: vllm-bench")
    text = converted_of((recipe + identity).encode(), "f.yaml").text
    [case], lost = cases_of(recipe + identity)
    assert case.model == "org/real"
    assert "# vllm: 0.20.0 " in text
    assert [(b.num_prompts, b.request_rate) for b in case.benchmarks] == [(1024, 2), (2048, 2)]
    argv = case.nodes[0].argv
    assert argv[argv.index("--attention-config.use_x") + 1] == "true"
    assert [line.partition(":")[0] for line in lost if "alias" in line or "benchmark" in line] == [
        "model.path alias",
        "benchmark.tokenizer_mode",
    ]


def test_a_recipe_with_roles():
    [case], lost = cases_of(ROLES)
    assert [(node.role, "A" in node.env) for node in case.nodes] == [
        ("prefill", False),
        ("decode", True),
    ]
    assert [line.partition(":")[0] for line in lost] == [
        "several workers on one node",
        "model.path small",
        "benchmark mmlu",
    ]


def test_replicas_of_a_recipe_become_one():
    [case], lost = cases_of(AGGREGATED)
    assert case.num_hosts == 2
    assert [(b.name, b.case_type) for b in case.benchmarks] == [("gsm8k", "accuracy")]
    assert lost == ("2 replicas behind a router: the case has one",)


BAD = {
    "a case": ("test_cases: []\n", "is of unknown kind. These can be converted"),
    "a compose file": ("services: {a: {image: x}}\n", "is a compose file; write a case"),
    "no worker": ("resources: {}\nbackend:\n  type: vllm\n", "has no worker of vLLM"),
    "a sweep": (f"sweep: {{a: [1]}}\n{ROLES}", "is a template of several recipes"),
    "a number that is none": (RECIPE.replace("256x512", "{c}"), "cannot be converted: invalid"),
    "tests that are none": ('{"defaults": {}, "tests": 3}', "cannot be converted"),
    "only other requests": (
        '[{"test_name": "a", "server_parameters": {}, "client_parameters": {"backend": "x"}}]',
        "no entry of it serves text: a: not converted",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_cannot_be_converted_is_refused(text, message):
    with pytest.raises(UserError, match=r"f.yaml: ") as caught:
        converted_of(text.encode(), "f.yaml")
    assert message in str(caught.value)


def test_broken_json_is_refused_at_its_place():
    with pytest.raises(CaseError) as caught:
        converted_of(b'{"defaults": {},\n "tests": [}', "f.json")
    assert (caught.value.problems[0].line, caught.value.problems[0].column) == (2, 12)


def test_text_of_the_file_cannot_leave_its_comment():
    test = {
        "test_name": "a\nmodel: x",
        "server_parameters": {},
        "client_parameters": {"x\ny: z": 1},
    }
    [case], _ = cases_of(json.dumps([test]))
    assert case.test_name == "a\nmodel: x"


def test_the_case_is_written_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.json").write_text(json.dumps(TESTS), encoding="utf-8")
    text = import_case("x.json", "")
    assert text.startswith("wrote x.yaml; lost in the conversion:\n  talk: the dataset's file")
    assert text.endswith("check it with `inv check x.yaml`\n")
    with pytest.raises(UserError, match=r"x.yaml: exists already; give another path with --to"):
        import_case("x.json", "")
    with pytest.raises(UserError, match="cannot be written: No such file"):
        import_case("x.json", "nowhere/x.yaml")
    with pytest.raises(UserError, match="no file is given"):
        import_case("", "")
