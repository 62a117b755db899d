"""Test that files of other tools are recognized, each in one error that says what to do."""

import pytest

from ci.case import foreign
from ci.check.lint import examine
from ci.paths import CASES

SRT = "name: x\nmodel: {path: m}\nresources:\n  gpus_per_node: 4\n"
FILES = {
    "vLLM's serving tests": (
        '[\n\t{"test_name": "a",\n "server_parameters": {}}]',
        "serving-tests.json of vLLM",
        "inv case.import f",
    ),
    "with defaults": (
        '{"defaults": {}, "tests": []}',
        "serving-tests.json of vLLM",
        "inv case.import f",
    ),
    "broken JSON": (
        '{"defaults": {}, "tests": [}',
        "serving-tests.json of vLLM",
        "inv case.import f",
    ),
    "latency tests": (
        '[{"test_name": "a", "parameters": {}}]',
        "latency-tests.json",
        "without a server",
    ),
    "srt-slurm": (
        SRT + "backend:\n  # own\n  type: vllm\n",
        "srt-slurm recipe for vLLM",
        "inv case.import f",
    ),
    "srt-slurm, schema 2": (
        SRT + "engine: vllm  # new\nroles: {}\n",
        "srt-slurm recipe for vLLM",
        "inv case.import",
    ),
    "srt-slurm, inline": (
        SRT + "engine: {connector: nixl, type: 'vllm'}\n",
        "srt-slurm recipe for vLLM",
        "inv case.import",
    ),
    "srt-slurm, SGLang": (
        SRT + "backend:\n  sglang_config: {}\n",
        "srt-slurm recipe for SGLang",
        "inv case.new",
    ),
    "srt-slurm, TensorRT-LLM": (
        SRT + "backend:\n  type: trtllm\n",
        "an engine other than vLLM",
        "inv case.new",
    ),
    "srt-slurm, overrides": (
        "base:\n  name: x\noverride_a:\n  x: 1\n",
        "with overrides",
        "one file for each",
    ),
    "llm-d": (
        "scenario:\n  - name: x\n    model:\n      name: org/m\n",
        "llm-d-benchmark scenario",
        "inv case.new",
    ),
    "llm-d's helm values": (
        "modelArtifacts:\n  uri: hf://m\ndecode:\n  replicas: 1\n",
        "helm values of llm-d",
        "inv case.new",
    ),
    "InferenceX": (
        "m-h200:\n  image: i\n  model: m\n  model-prefix: m\n  runner: h\n  framework: vllm\n",
        "InferenceX",
        "inv case.new",
    ),
    "TensorRT-LLM": (
        "metadata: {}\nserver_configs:\n  - name: a\n",
        "TensorRT-LLM",
        "inv case.new",
    ),
    "disaggregated TensorRT-LLM": (
        "hostname: h\ncontext_servers: {}\ngeneration_servers: {}\n",
        "TensorRT-LLM",
        "inv case.new",
    ),
    "manifest": (
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {}\n---\napiVersion: v1\nkind: Service\n",
        "Kubernetes manifest",
        "inv k8s.render",
    ),
    "LeaderWorkerSet": (
        "apiVersion: leaderworkerset.x-k8s.io/v1\nkind: LeaderWorkerSet\n",
        "Kubernetes manifest",
        "inv case.new",
    ),
    "compose": (
        "services:\n  vllm:\n    image: vllm/vllm-openai\n    command: --model m\n",
        "compose file",
        "inv case.new",
    ),
    "helm values": ("servingEngineSpec:\n  modelSpec: []\n", "helm values", "inv case.new"),
    "helm template": (
        "{{- if .Values.x }}\nreplicaCount: 1\nimage: {{ .x }}\n",
        "helm values",
        "inv case.new",
    ),
    "template": ("{% set x = 1 %}\na: {{ x }}\n", "a template", "render it first"),
    "SGLang": ("model-path: m\ntp-size: 8\n", "configuration of SGLang", "inv case.new"),
    "workflow": (
        "name: n\non: push\njobs:\n  a: {}\n",
        "workflow of GitHub",
        "name the case files",
    ),
    "lm-eval": (
        "task: mine\ndataset_path: d\ndoc_to_text: q\n",
        "task of lm-eval",
        "tool: lm_eval",
    ),
    "cluster file": ("hosts:\n  a: {address: 10.0.0.1}\n", "cluster file", "--cluster"),
    "vLLM's arguments": ("model: m\ntensor-parallel-size: 4\n", "arguments of vLLM", "server_cmd"),
}


@pytest.mark.parametrize(("text", "kind", "advice"), FILES.values(), ids=FILES)
def test_a_file_of_another_kind_is_one_error(text, kind, advice):
    [found] = examine(text.encode(), "f")
    assert (found.severity, found.problem.line) == ("error", 1)
    assert kind in found.problem.message
    assert advice in found.problem.message


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "version": "1.0.0", "dependencies": {}}',
        "stages: [build]\nbuild: {script: [make]}\n",
        "model: m\nserve_args: {tp: 8}\nbenchmark: {isl: 1024}\n",
        "id: a\nquant: w8a8\nscenario_type: k8s\nfeatures: []\n",
    ],
)
def test_a_mapping_without_a_key_of_a_case_is_one_error(text):
    [found] = examine(text.encode(), "f")
    assert "this is not a case: it has none of test_name, num_nodes" in found.problem.message


def test_text_of_a_wide_encoding_is_named():
    [found] = examine("test_name: x\n".encode("utf-16-le"), "f")
    assert found.problem.message == "not UTF-8 text; save the file as UTF-8"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_case_is_a_case(path):
    assert foreign.kind_of(path.read_text("utf-8")) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "1", "- a\n", "test_name: x\nnum_nodes: 1\nhosts: []\n"]
)
def test_what_may_be_a_broken_case_is_of_no_other_kind(text):
    assert foreign.kind_of(text) is None
