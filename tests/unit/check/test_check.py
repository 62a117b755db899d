"""Test `inv check`: diagnostics and their positions, output formats, and rules."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from corpus import corpus_files, needs_corpus

from ci.catalog import aisbench
from ci.check.diagnostic import Diagnostic
from ci.check.lint import check_files, examine, files_of
from ci.check.rules import RULES
from ci.check.show import shown, summary
from ci.errors import ExitCode, Problem, UserError
from ci.paths import CASES, CONFIGS, PROJECT

# Corpus files that no workflow runs, and the rules that rightly report them.
DEFECTS = {
    "Qwen3_235b_w8a8_A5.yaml": {"dataset-conf", "spaced-flag", "too-long"},
    "MiniMax-M2.5-w8a8-QuaRot-A2.yaml": {"dataset-conf-folder"},
    "GLM5_1-W8A8-A3-dual-nodes.yaml": {"too-long"},
    "Qwen3.6-35B-A3B-w4a8-A3.yaml": {"too-long"},
}

SOUND = """\
test_name: t
model: m
num_nodes: 2
npu_per_node: 4
deployment:
  - server_cmd: >
      vllm serve m
      --port 8080
      --tensor-parallel-size 2
      --data-parallel-size 2
      --data-parallel-size-local 1
      --data-parallel-address $LOCAL_IP
  - envs: {A: b}
    server_cmd: >
      vllm serve m
      --headless
      --tensor-parallel-size 2
      --data-parallel-size 2
      --data-parallel-size-local 1
      --data-parallel-start-rank 1
      --data-parallel-address $MASTER_IP
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: gsm8k
    request_conf: vllm_api_general_chat
    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt
    num_prompts: 1319
    max_out_len: 64
    batch_size: 4
    baseline: 50
    threshold: 5
  perf:
    case_type: performance
    dataset_path: gsm8k
    num_prompts: 64
    max_out_len: 64
    batch_size: 4
    baseline: 100
    threshold: 0.97
"""
BENCH = "dataset_path: gsm8k\n    tool: vllm_bench\n    num_prompts: 64\n"
LM_EVAL = ("case_type: accuracy", "case_type: accuracy\n    tool: lm_eval")
EVALSCOPE = ("case_type: accuracy", "case_type: accuracy\n    tool: evalscope")
MOST = "      --max-model-len 10\n"


def further(metric, baseline):
    return f"    metrics:\n      {metric}: {{baseline: {baseline}, threshold: 0.9}}\n"


def changed(*replacements):
    text = SOUND
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def lines_of(text):
    return [
        f"{diagnostic.problem.line}:{diagnostic.problem.column}: {diagnostic.severity}: "
        f"{diagnostic.problem.key}: {diagnostic.problem.message} [{diagnostic.rule}]"
        for diagnostic in examine(text.encode(), "c.yaml")
    ]


def after(line, *more):
    """Put arguments after a line of the first server's command."""
    return (
        f"      {line}\n",
        f"      {line}\n" + "".join(f"      {argument}\n" for argument in more),
    )


def test_a_valid_case_has_no_diagnostics():
    assert lines_of(SOUND) == []


@pytest.mark.parametrize(
    ("vllm", "flag", "is_gone"),
    [
        ("0.11.0", "--swap-space 4", False),
        ("0.18.0", "--swap-space 4", True),
        ("0.32.0", "--swap-space 4", True),
        ("0.11.0", "--num-scheduler-steps 4", True),
        ("0.11.0", "--task generate", False),
    ],
)
def test_a_flag_is_removed_only_in_versions_without_it(vllm, flag, is_gone):
    text = SOUND.replace("model: m", f"model: m\nvllm: {vllm}\ndevice: cuda")
    lines = lines_of(text.replace(*after("--port 8080", flag)))
    assert any("vLLM removed" in line for line in lines) == is_gone


# Replacements in SOUND → the start of the only diagnostic, and further words in it.
DIAGNOSTICS = {
    "gone flag": (
        [after("--port 8080", "--swap-space 4")],
        "9:7: warning: deployment[0].server_cmd: vLLM removed --swap-space",
        "leave it out [unknown-flag]",
    ),
    "gone flag in its other spelling": (
        [after("--port 8080", "--swap_space=4")],
        "9:7: warning: deployment[0].server_cmd: vLLM removed --swap_space",
        "[unknown-flag]",
    ),
    "a flag twice": (
        [after("--port 8080", "--seed 1", "--max-num-seqs=9", "--seed 2")],
        "9:7: warning: deployment[0].server_cmd: --seed is given 2 times, vLLM takes the last (2)",
        "remove one [duplicate-flag]",
    ),
    "a flag twice, without a value": (
        [after("--port 8080", "--enforce-eager", "--enforce_eager")],
        "9:7: warning: deployment[0].server_cmd: --enforce-eager is given 2 times; remove one",
        "[duplicate-flag]",
    ),
    "a model that vLLM's environment makes, and no vLLM": (
        [("model: m", "model: SmolLM2-135M-Instruct")],
        "2:1: warning: model: SmolLM2-135M-Instruct is converted with vLLM's environment",
        "[model-without-vllm]",
    ),
    "several keys": (
        [after("--port 8080", "--api-key one two")],
        "9:7: warning: deployment[0].server_cmd: --api-key has several keys; a run gives",
        "[several-keys]",
    ),
    "a flag and its opposite": (
        [after("--port 8080", "--async-scheduling", "--no-async-scheduling")],
        "10:7: warning: deployment[0].server_cmd: --async-scheduling and --no-async-scheduling",
        "contradict each other; remove one [duplicate-flag]",
    ),
    "headless with a port": (
        [("--headless", "--headless --port 9")],
        "16:18: warning: deployment[1].server_cmd: --headless answers no requests, so --port",
        "[headless-port]",
    ),
    "a flag with a space": (
        [after("--port 8080", "'--enforce-eager '")],
        "9:8: error: deployment[0].server_cmd: '--enforce-eager ' is not a flag because",
        "write '--enforce-eager' [spaced-flag]",
    ),
    "a flag and its value in one": (
        [after("--port 8080", "'--seed 4'")],
        "9:8: error: deployment[0].server_cmd: '--seed 4' is not a flag because of its space",
        "write '--seed' and '4' [spaced-flag]",
    ),
    "JSON without its quotes": (
        [after("--port 8080", '--hf-overrides {"a":1}')],
        "9:7: error: deployment[0].server_cmd: --hf-overrides expected JSON, got '{a:1}'",
        "single quotes, its keys and strings in double quotes [json-argument]",
    ),
    "JSON as Python writes it": (
        [after("--port 8080", """--hf-overrides='{"a": True}'""")],
        "9:7: error: deployment[0].server_cmd: --hf-overrides expected JSON",
        "JSON writes true, false and null [json-argument]",
    ),
    "JSON with a comma too many": (
        [after("--port 8080", """'{"a": 1,}'""")],
        "9:15: error: deployment[0].server_cmd: expected JSON",
        "remove the comma before the closing bracket [json-argument]",
    ),
    "JSON with two commas": (
        [after("--port 8080", """--hf-overrides '{"a": 1,, "b": 2}'""")],
        "9:7: error: deployment[0].server_cmd: --hf-overrides expected JSON",
        "correct it there [json-argument]",
    ),
    "more ranks than devices": (
        [("--tensor-parallel-size 2", "--tensor-parallel-size 8")],
        "9:7: error: deployment[0].server_cmd: needs 8 devices (--tensor-parallel-size 8 × ",
        "1 data-parallel ranks here), but its host has 4; lower one [too-few-devices]",
    ),
    "more ranks than visible devices": (
        [("{A: b}", '{ASCEND_RT_VISIBLE_DEVICES: "3"}')],
        "17:7: error: deployment[1].server_cmd: needs 2 devices",
        "but it sees 1; lower one [too-few-devices]",
    ),
    "a device that does not exist": (
        [("{A: b}", '{CUDA_VISIBLE_DEVICES: "3,4"}')],
        "13:5: error: deployment[1]: there is no device 4: the host has 4 (0 to 3)",
        "[no-such-device]",
    ),
    "misspelt dataset_conf": (
        [("_shot_cot_chat_prompt", "_shot_cot_chat_promt")],
        "27:5: error: benchmarks.acc.dataset_conf: AISBench ",
        "did you mean 'gsm8k/gsm8k_gen_0_shot_cot_chat_prompt'? [dataset-conf]",
    ),
    "dataset_conf that is like none": (
        [("gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "zzz/yyy")],
        "27:5: error: benchmarks.acc.dataset_conf: AISBench ",
        "has no 'zzz/yyy'; write FOLDER/NAME as in AISBench's own list [dataset-conf]",
    ),
    "dataset_conf in another folder": (
        [("gsm8k/gsm8k_gen_0", "gpqa/gsm8k_gen_0")],
        "27:5: error: benchmarks.acc.dataset_conf: AISBench has no 'gpqa/gsm8k_gen_0_shot_cot",
        "write 'gsm8k/gsm8k_gen_0_shot_cot_chat_prompt' [dataset-conf-folder]",
    ),
    "misspelt request_conf": (
        [("vllm_api_general_chat", "vllm_api_genral_chat")],
        "26:5: error: benchmarks.acc.request_conf: unknown 'vllm_api_genral_chat'; choose",
        "did you mean 'vllm_api_general_chat'? [request-conf]",
    ),
    "request_conf that we cannot use": (
        [("vllm_api_general_chat", "vllm_api_function_call_chat")],
        "26:5: error: benchmarks.acc.request_conf: AISBench's, but not used here",
        "[request-conf]",
    ),
    "accuracy that cannot fail": (
        [("threshold: 5", "threshold: 50")],
        "32:5: warning: benchmarks.acc.threshold: no score is more than 50 below 50",
        "[cannot-fail]",
    ),
    "accuracy that one correct answer reaches": (
        [("threshold: 5", "threshold: 49.95")],
        "32:5: warning: benchmarks.acc.threshold: one correct answer of 1,319 passes; lower",
        "[cannot-fail]",
    ),
    "a band that fails healthy nights": (
        [("num_prompts: 1319", "num_prompts: 100")],
        "32:5: warning: benchmarks.acc.threshold: with 100 independent answers, 14 of 100 nights ",
        "write 12, which fails 0.6 of 100 healthy nights, and 31 with a loss of 10 points [narrow-",
    ),
    "a band of nothing on a few items": (
        [("num_prompts: 1319", "num_prompts: 30"), ("threshold: 5", "threshold: 0")],
        "32:5: warning: benchmarks.acc.threshold: with 30 independent answers, 43 of 100 nights of",
        "[narrow-band]",
    ),
    "a band that passes a large loss": (
        [("threshold: 5", "threshold: 10")],
        "32:5: warning: benchmarks.acc.threshold: with 1,319 independent answers, 50 of 100 nights",
        "pass; write 3.3, which fails 0.8 of 100 healthy nights, and 100 with a loss of 10 points",
    ),
    "a performance that need not lose anything": (
        [("threshold: 0.97", "threshold: 1")],
        "40:5: warning: benchmarks.perf.threshold: at 1.5 % noise, 50 of 100 nights of a model as",
        "write 0.96, which fails 0.3 of 100 healthy nights, and 100 with a loss of 10 % [narrow-",
    ),
    "a performance that may lose much": (
        [("threshold: 0.97", "threshold: 0.8")],
        "40:5: warning: benchmarks.perf.threshold: at 1.5 % noise, 100 of 100 nights with a loss",
        "[wide-band]",
    ),
    "a loss for a factor": (
        [("threshold: 0.97", "threshold: 0.03")],
        "40:5: warning: benchmarks.perf.threshold: every night reaches 0.03 times the baseline; ",
        "write 0.97 if you mean 3 % less [cannot-fail]",
    ),
    "performance that cannot fail": (
        [("baseline: 100", "baseline: 1")],
        "39:5: warning: benchmarks.perf.baseline: every server that answers reaches 1 token/s",
        "or call the benchmark warm-up [cannot-fail]",
    ),
    "performance that need reach nothing": (
        [("threshold: 0.97", "threshold: 0")],
        "40:5: warning: benchmarks.perf.threshold: every night reaches 0 times the baseline",
        "[cannot-fail]",
    ),
    "a share that none exceeds": (
        [("threshold: 0.97\n", f"threshold: 0.97\n{further('kv_cache_usage_max', 95)}")],
        "42:42: warning: benchmarks.perf.metrics.kv_cache_usage_max.threshold: no kv_cache_usage_",
        "is over 105.6 %, so every night passes; leave out both baseline and threshold until you",
    ),
    "a hit rate that every night reaches": (
        [("threshold: 0.97\n", f"threshold: 0.97\n{further('prefix_cache_hit_rate', 0)}")],
        "42:31: warning: benchmarks.perf.metrics.prefix_cache_hit_rate.baseline: every night reach",
        "[cannot-fail]",
    ),
    "a hit rate as a share of 1": (
        [("threshold: 0.97\n", f"threshold: 0.97\n{further('prefix_cache_hit_rate', 0.75)}")],
        "42:31: warning: benchmarks.perf.metrics.prefix_cache_hit_rate.baseline: is 0.75 percent; ",
        "write 75 if you mean a share of 1 [percent]",
    ),
    "a percentage for a factor": (
        [("threshold: 0.97", "threshold: 97")],
        "40:5: warning: benchmarks.perf.threshold: expected a factor such as 0.97, got 97 times",
        "[threshold-above-one]",
    ),
    "a kind of prompts that vllm bench lacks": (
        [("dataset_path: gsm8k\n    num_prompts: 64", f"{BENCH}    dataset_conf: custm\n")],
        "38:5: error: benchmarks.perf.dataset_conf: vllm_bench has no 'custm'; choose one of",
        "[bench-prompts]",
    ),
    "a task that lm-eval cannot ask": (
        [("dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "dataset_conf: gsm8K"), LM_EVAL],
        "28:5: error: benchmarks.acc.dataset_conf: lm-eval 0.4.13 has no task 'gsm8K' that",
        "[lm-eval-task]",
    ),
    "a dataset that evalscope does not measure": (
        [("dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "dataset_conf: mmul"), EVALSCOPE],
        "28:5: error: benchmarks.acc.dataset_conf: evalscope has no 'mmul' here; choose one of",
        "[evalscope-dataset]",
    ),
    "a dataset that is not sent": (
        [("dataset_path: gsm8k\n    num_prompts: 64", BENCH)],
        "35:5: warning: benchmarks.perf.dataset_path: vllm_bench sends random prompts and not gsm",
        "[unsent-dataset]",
    ),
    "more prompts than questions": (
        [("num_prompts: 1319", "num_prompts: 1320")],
        "28:5: warning: benchmarks.acc.num_prompts: 1320 prompts are more than the 1319 of gsm8k",
        "[too-many-prompts]",
    ),
    "prompts that do not fit": (
        [
            ("dataset_path: gsm8k\n    num_prompts: 64", "dataset_path: GSM8K-in4000-bs64"),
            after("--port 8080", "--max-model-len 4k"),
        ],
        "36:5: error: benchmarks.perf.dataset_path: server-0 has --max-model-len 4000, so",
        "[too-long]",
    ),
    "a conf that AISBench cannot read": (
        [("gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "race/race_gen")],
        "27:5: error: benchmarks.acc.dataset_conf: AISBench 3.1.20260630 has 'race/race_gen' but",
        "[broken-dataset-conf]",
    ),
    "fewer prompts than at once": (
        [("num_prompts: 64", "num_prompts: 3")],
        "38:5: warning: benchmarks.perf.batch_size: 3 prompts never reach a concurrency of 4",
        "[too-few-prompts]",
    ),
    "passes with the same answers": (
        [("num_prompts: 1319", "num_prompts: 1319\n    temperature: 0\n    repeats: 4")],
        "30:5: warning: benchmarks.acc.repeats: at temperature 0 the answers of 4 passes are the",
        "or remove it [equal-passes]",
    ),
    "a number of passes that nothing decides": (
        [
            ("dataset_path: gsm8k\n    request", "dataset_path: /data/own\n    request"),
            ("    num_prompts: 1319\n", "    repeats: auto\n"),
        ],
        "28:5: warning: benchmarks.acc.repeats: `repeats: auto` is 1 pass, because the number of",
        "[undecided-repeats]",
    ),
    "an unknown variable": (
        [after("--port 8080", "--seed $SED")],
        "9:14: error: deployment[0].server_cmd: unknown variable $SED",
        "",
    ),
    "ranks that do not add up": (
        [("--data-parallel-start-rank 1", "--data-parallel-start-rank 0")],
        "20:7: error: deployment[1]: server-1 and server-0 both have",
        "[plan]",
    ),
    "a vLLM that there is not": (
        [("model: m", "model: m\nvllm: 0.32.00")],
        "3:1: error: vllm: vLLM 0.32.00 is not in configs/versions.yaml",
        "Did you mean '0.32.0'? [plan]",
    ),
    "one host for two nodes": (
        [("model: m", "model: m\ncluster_hosts: [a, a]")],
        "3:1: error: cluster_hosts: nodes 0 and 1 would both run on a",
        "name another host for one of them [plan]",
    ),
    "a misspelt key": (
        [("npu_per_node", "npu_pr_node")],
        "4:1: error: npu_pr_node: unknown key; did you mean 'npu_per_node'?",
        "[case]",
    ),
}


@pytest.mark.parametrize(("replacements", "begin", "words"), DIAGNOSTICS.values(), ids=DIAGNOSTICS)
def test_one_diagnostic(replacements, begin, words):
    [line] = lines_of(changed(*replacements))
    assert line.startswith(begin)
    assert words in line


SILENT = {
    "a warm-up that cannot fail": [("  perf:", "  warmup:"), ("baseline: 100", "baseline: 0")],
    "a least accuracy": [("threshold: 5", "threshold: 0")],
    # 30 items in one pass: no other threshold finds more, which `inv thresholds` says.
    "a wide band that no other beats": [
        ("num_prompts: 1319", "num_prompts: 30"),
        ("threshold: 5", "threshold: 20"),
    ],
    # One pass fails 29 of 100 healthy nights, 16 passes one.
    "a band of several passes": [
        ("num_prompts: 1319", "num_prompts: 30\n    repeats: 16"),
    ],
    "items that nobody counts": [
        ("dataset_path: gsm8k\n    request", "dataset_path: /data/own\n    request"),
        ("    num_prompts: 1319\n", ""),
        ("threshold: 5", "threshold: 12"),
    ],
    "no baselines yet": [
        ("    baseline: 50\n    threshold: 5\n", ""),
        ("    baseline: 100\n    threshold: 0.97\n", ""),
    ],
    "a warm-up with few prompts": [("  perf:", "  perf_warm:"), ("prompts: 64", "prompts: 1")],
    "JSON": [after("--port 8080", """--hf-overrides '{"a": [1, {"b": null}]}'""")],
    "JSON with a variable": [after("--port 8080", """--hf-overrides '{"a": "$LOCAL_IP"}'""")],
    "a flag that may repeat": [after("--port 8080", "--middleware a", "--middleware b")],
    "ranks that Ray spreads": [
        ("--tensor-parallel-size 2", "--tensor-parallel-size 8 --distributed-executor-backend ray"),
        ("--tensor-parallel-size 2\n", "--tensor-parallel-size 4\n"),
    ],
    "a rank over several nodes": [
        ("--tensor-parallel-size 2", "--tensor-parallel-size 8 --nnodes 4"),
        ("--tensor-parallel-size 2\n", "--tensor-parallel-size 8 --nnodes 4 --node-rank 1\n"),
    ],
    "no devices at all": [("npu_per_node: 4", "npu_per_node: 0")],
    "a dataset of evalscope": [EVALSCOPE, ("gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "mmlu")],
    "a task of lm-eval": [LM_EVAL, ("gsm8k/gsm8k_gen_0_shot_cot_chat_prompt", "gsm8k_cot")],
}


@pytest.mark.parametrize("replacements", SILENT.values(), ids=SILENT)
def test_no_diagnostic(replacements):
    assert lines_of(changed(*replacements)) == []


def test_diagnostics_are_sorted_by_position_and_unique():
    text = changed(
        ("threshold: 5", "threshold: 50"),
        after("--port 8080", "--swap-space 4", "--seed 1 --seed 1"),
        ("baseline: 100", "baseline: 1"),
    )
    assert [line.partition(":")[0] for line in lines_of(text)] == ["9", "10", "34", "41"]


SHARED = """\
model: m
num_nodes: 1
npu_per_node: 4
routing: {type: generic_dp, groups: {worker: [0]}}
config:
  - {port_start: 7100, dp_rpc_port: 12321, dp_size: 2, dp_size_local: 2, dp_address: $NODE_0_IP}
templates:
  - envs: {CUDA_VISIBLE_DEVICES: "1"}
    server_cmd_template:
      [--port, "${PORT}", --data-parallel-size, "2", --data-parallel-rank, "${DP_RANK}",
       --data-parallel-address, "${DP_ADDRESS}", --data-parallel-rpc-port, "${DP_RPC_PORT}"SHARE]
"""


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ("", ["node-0-rank-0 and node-0-rank-1 both use device 1 and reserve 0.9 and 0.9 of its"]),
        (", --gpu-memory-utilization, '0.6'", ["both use device 1 and reserve 0.6 and 0.6 of its"]),
        (", --gpu-memory-utilization, '0.5'", []),
    ],
)
def test_a_device_that_two_servers_share(share, expected):
    diagnostics = examine(SHARED.replace("SHARE", share).encode(), "c.yaml")
    errors = [diagnostic.problem for diagnostic in diagnostics if diagnostic.severity == "error"]
    assert [(error.line, error.key) for error in errors] == [(8, "templates[0]")] * len(expected)
    assert all(words in error.message for words, error in zip(expected, errors, strict=True))


def test_rule_names_are_unique_and_tested():
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    words = [words for _, _, words in DIAGNOSTICS.values()]
    tested = {name for name in names if any(f"[{name}]" in text for text in words)}
    assert tested == set(names) - {"shared-device"} - IN_TABLE_OF_MISTAKES


# test_mistakes.py has a row for each of them.
IN_TABLE_OF_MISTAKES = {
    "config-keys",
    *(
        "flag-value",
        "kv-by-tokens",
        "kv-keys",
        "kv-role",
        "kv-sizes",
        "not-expanded",
        "other-dataset",
        "other-model",
        "overridden-variable",
    ),
    *(
        "adds-to-prompts",
        "does-not-stream",
        "program",
        "scores-nothing",
        "shell-default",
        "split-flag",
        "typographic",
    ),
}
ODD = Diagnostic("error", Problem("a,b:c%.yaml", 3, 4, "k", "1%\n2"), "case")
MILD = Diagnostic("warning", Problem("d.yaml", 1, 1, "", "odd"), "reading")


def test_text():
    assert shown([ODD, MILD], 2, "text") == (
        "a,b:c%.yaml:3:4: error: k: 1%\\n2 [case]\n"
        "d.yaml:1:1: warning: odd [reading]\n"
        "2 files: 1 error, 1 warning\n"
    )


def test_json():
    assert json.loads(shown([ODD], 2, "json")) == [
        {
            "file": "a,b:c%.yaml",
            "line": 3,
            "column": 4,
            "severity": "error",
            "key": "k",
            "message": "1%\n2",
            "rule": "case",
        },
    ]


def test_github():
    assert shown([ODD, MILD], 2, "github") == (
        "::error file=a%2Cb%3Ac%25.yaml,line=3,col=4,title=case::k: 1%25%0A2\n"
        "::warning file=d.yaml,line=1,col=1,title=reading::odd\n"
        "2 files: 1 error, 1 warning\n"
    )


def test_an_unknown_format_is_refused():
    with pytest.raises(UserError, match="unknown format; choose one of text, json, github"):
        shown([], 0, "xml")


@pytest.mark.parametrize(
    ("diagnostics", "files", "text"),
    [
        ([], 0, "0 files: 0 errors, 0 warnings"),
        ([ODD], 1, "1 file: 1 error, 0 warnings"),
        ([ODD, ODD, MILD, MILD], 47, "47 files: 2 errors, 2 warnings"),
    ],
)
def test_summary(diagnostics, files, text):
    assert summary(diagnostics, files) == text


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "sound.yaml").write_text(SOUND, encoding="utf-8")
    warned = changed(("threshold: 5", "threshold: 50"))
    (tmp_path / "deep" / "warned.yml").write_text(warned, encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no case", encoding="utf-8")
    return tmp_path


def test_folders_are_searched_and_warnings_pass(folder):
    text, code = check_files([str(folder)])
    assert text.splitlines()[0].startswith(f"{folder}/deep/warned.yml:32:5: warning: ")
    assert text.endswith("\n2 files: 0 errors, 1 warning\n")
    assert code == ExitCode.PASS


def test_an_error_gives_exit_code_2(folder):
    (folder / "bad.yaml").write_text("model: 1\n", encoding="utf-8")
    assert check_files([str(folder)])[1] == ExitCode.USER


def test_an_unreadable_file_gives_a_diagnostic(folder, monkeypatch):
    def refuse(*_args, **_keys):
        raise PermissionError(13, "Permission denied")

    files = files_of([str(folder / "sound.yaml")])
    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr("ci.check.lint.files_of", lambda _: files)
    text, code = check_files(["sound.yaml"])
    assert ":1:1: error: cannot be read: Permission denied; check the path [file]" in text
    assert code == ExitCode.USER


def test_a_path_twice_is_one_file(folder):
    assert len(files_of([str(folder), str(folder / "sound.yaml")])) == 2


def test_a_case_of_the_project_by_its_name():
    assert files_of(["local"]) == [CASES / "local.yaml"]


@pytest.mark.parametrize("path", ["nowhere", "nowhere.yaml", "x\0y", "y" * 5000])
def test_a_path_that_does_not_exist(path):
    with pytest.raises(UserError, match="no case"):
        check_files([path])


def test_a_folder_without_cases(tmp_path):
    with pytest.raises(UserError, match="no case file in it"):
        check_files([str(tmp_path)])


def test_the_projects_cases_have_no_diagnostics():
    assert json.loads(check_files([], "json")[0]) == []


def test_the_list_of_aisbench_names_matches_the_installed_version():
    tools = yaml.safe_load((CONFIGS / "tools.yaml").read_text("utf-8"))["tools"]
    pin = f"ais-bench-benchmark=={aisbench.known().version}"
    assert pin in tools["aisbench"]["packages"]


def test_an_environment_without_aisbench(tmp_path):
    with pytest.raises(UserError, match="no AISBench in it"):
        aisbench.installed(tmp_path)


@needs_corpus
@pytest.mark.parametrize("path", corpus_files())
def test_no_rule_refuses_a_case_of_the_corpus(path):
    """Files in which only a rule finds an error run every night elsewhere."""
    own = {rule.name for rule in RULES}
    errors = {
        diagnostic.rule
        for diagnostic in examine(path.read_bytes(), str(path))
        if diagnostic.severity == "error" and diagnostic.rule in own
    }
    assert errors == DEFECTS.get(path.name, set())


def test_statistics_are_imported_only_for_a_band():
    """Importing scipy takes longer than checking a case."""
    code = (
        "import sys; from ci.check.lint import examine; "
        "examine(sys.stdin.buffer.read(), 'c.yaml'); print('scipy' in sys.modules)"
    )
    for text, imported in ((SOUND, "True"), (SOUND.partition("benchmarks:")[0], "False")):
        ended = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            input=text,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended.stdout.strip() == imported, ended.stderr
