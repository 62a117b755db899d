"""Recognize a file of another tool, and say what to do with it. Pure.

Reads only the top-level keys, also of files that are not one YAML document: manifests with several
documents, JSON with tabs, templates.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.errors import CaseError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

_TOP_KEY = re.compile(r"^[\"']?([A-Za-z_][\w.-]*)[\"']?[ ]*:", re.MULTILINE)
# The section of the engine: its line, and those up to the next top-level key.
_ENGINE = re.compile(r"^(?:backend|engine):(.*(?:\n(?![A-Za-z_\"']).*)*)", re.MULTILINE)
_IMPORT = "convert it with `inv case.import {file}`"
_WRITE = "write a case for it with `inv case.new`"
# A case has one of these sets of top-level keys; `sweep` and anchors may be there too.
_CASES = ({"test_cases"}, {"routing"}, {"templates"}, {"deployment", "model"})
_CASE = {"test_name", "num_nodes", "npu_per_node", "deployment"}


@dataclass(frozen=True)
class Text:
    """A file's text, its top-level keys, and those of its entries if it is a list."""

    text: str
    keys: frozenset[str]

    def has(self, *keys: str) -> bool:
        """Return whether all keys are there."""
        return self.keys.issuperset(keys)

    def any(self, *keys: str) -> bool:
        """Return whether one of the keys is there."""
        return not self.keys.isdisjoint(keys)

    def value(self, key: str) -> str:
        """Return the first value of a key on one line, at any depth; empty if there is none."""
        match = re.search(
            rf"(?:^|[{{,])\s*(?:- )?[\"']?{key}[\"']?[ ]*:[ ]*([^\s#]+)", self.text, re.MULTILINE
        )
        return match[1].strip("\"',") if match else ""


@dataclass(frozen=True)
class Kind:
    """A kind of file: how to recognize it, its name, and what to do."""

    matches: Callable[[Text], bool]
    name: str
    advice: str


def _is_recipe(text: Text, engine: str) -> bool:
    """Return whether it is a recipe of srt-slurm, of either schema, for an engine."""
    if not text.any("backend", "engine") or not text.any("resources", "roles"):
        return False
    section = _ENGINE.search(text.text)
    written = section[1] if section else ""
    found = re.match(r"[ ]*([\w-]+)[ ]*(?:#.*)?$", written) or re.search(
        r"\btype[\"']?:[ ]*[\"']?([\w-]+)", written
    )
    name = found[1] if found else "sglang"  # srt-slurm's default
    return engine in {"", name}


_TRT = ("server_configs", "worker_config", "context_servers", "generation_servers")
KINDS = (
    Kind(
        lambda text: text.has("test_name", "server_parameters") or text.has("defaults", "tests"),
        "a serving-tests.json of vLLM",
        _IMPORT,
    ),
    Kind(
        lambda text: text.has("test_name", "parameters"),
        "a latency-tests.json or throughput-tests.json of vLLM",
        "they measure without a server, which a case cannot; use vLLM's own scripts",
    ),
    Kind(lambda text: _is_recipe(text, "vllm"), "an srt-slurm recipe for vLLM", _IMPORT),
    Kind(
        lambda text: _is_recipe(text, "sglang"),
        "an srt-slurm recipe for SGLang",
        f"a case serves with vLLM: {_WRITE}",
    ),
    Kind(
        lambda text: _is_recipe(text, ""),
        "an srt-slurm recipe for an engine other than vLLM",
        f"a case serves with vLLM: {_WRITE}",
    ),
    Kind(
        lambda text: "base" in text.keys and any(k.startswith("override_") for k in text.keys),
        "an srt-slurm recipe with overrides",
        "write one file for each override with srtctl, and convert those with `inv case.import`",
    ),
    Kind(
        lambda text: text.has("scenario"),
        "an llm-d-benchmark scenario",
        f"{_WRITE}, from its model, parallelism and vllm arguments",
    ),
    Kind(
        lambda text: (
            text.any("modelArtifacts", "modelservice")
            or (text.any("decode", "prefill") and "replicas:" in text.text)
        ),
        "helm values of llm-d",
        f"{_WRITE}, from its model, parallelism and containers' arguments",
    ),
    Kind(
        lambda text: (
            bool(text.value("model-prefix") or text.value("seq-len-configs"))
            and bool(text.value("framework") or text.value("runner"))
        ),
        "a configuration of InferenceX (InferenceMAX)",
        f"{_WRITE}, one for each entry: its model, tp and concurrency",
    ),
    Kind(
        lambda text: (
            text.any(*_TRT)
            or (text.any("kv_cache_config", "cuda_graph_config") and not text.any("model"))
        ),
        "a configuration of TensorRT-LLM",
        f"a case serves with vLLM: {_WRITE}",
    ),
    Kind(
        lambda text: text.has("apiVersion", "kind"),
        "a Kubernetes manifest",
        f"{_WRITE}, from its containers' command; `inv k8s.render` makes pods of a case",
    ),
    Kind(
        lambda text: text.has("services") and bool(text.value("image") or text.value("build")),
        "a compose file",
        f"{_WRITE}, from its service's command and environment",
    ),
    Kind(
        lambda text: (
            text.any("servingEngineSpec", "replicaCount", "routerSpec")
            or (text.has("image") and text.any("resources", "autoscaling", "nodeSelector"))
        ),
        "a helm values file",
        f"{_WRITE}, from its model and vLLM's arguments",
    ),
    Kind(
        lambda text: (
            text.any("model-path", "model_path")
            and text.any("mem-fraction-static", "mem_fraction_static", "tp-size", "tp_size")
        ),
        "a configuration of SGLang",
        f"a case serves with vLLM: {_WRITE}",
    ),
    Kind(
        lambda text: text.has("jobs") and text.any("on", "name"),
        "a workflow of GitHub Actions",
        "name the case files that it runs",
    ),
    Kind(
        lambda text: (
            text.any("task", "group") and text.any("doc_to_text", "dataset_name", "task_list")
        ),
        "a task of lm-eval",
        "name it in a case: tool: lm_eval",
    ),
    Kind(
        lambda text: text.has("hosts") and not text.any("model"),
        "a cluster file",
        "give it with --cluster, and a case with --config",
    ),
    Kind(
        lambda text: (
            text.any("tensor-parallel-size", "tensor_parallel_size", "max-model-len")
            and len(text.keys) > 1
        ),
        "arguments of vLLM (`vllm serve --config`)",
        f"{_WRITE}: these arguments belong into its server_cmd",
    ),
    Kind(
        lambda text: bool(re.search(r"^\{[{%]", text.text, re.MULTILINE)),
        "a template",
        "render it first",
    ),
)


def refuse(data: bytes, file: str) -> None:
    """Refuse a file of another tool.

    Args:
        data: its content.
        file: its path, for the message.

    Raises:
        CaseError: it is such a file; the message names its kind and what to do.
    """
    if kind := kind_of(data.decode("utf-8", "replace")):
        message = f"this is {kind.name}, not a case; {kind.advice.format(file=file)}"
        raise CaseError((Problem(file, 1, 1, "", message),))


def kind_of(text: str) -> Kind | None:
    """Return the kind of a file of another tool; None if it is a case, or not known."""
    keys = _keys(text)
    if any(keys.issuperset(case) for case in _CASES) or len(keys & _CASE) > 1:
        return None
    found = Text(text, keys)
    return next((kind for kind in KINDS if kind.matches(found)), None)


def _keys(text: str) -> frozenset[str]:
    """Return the top-level keys; for a list in JSON those of its entries."""
    begin = text.lstrip("\ufeff \t\r\n")[:2]
    if begin[:1] in {"{", "["} and begin not in {"{{", "{%"}:
        return _json_keys(text)
    return frozenset(_TOP_KEY.findall(text))


def _json_keys(text: str) -> frozenset[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return frozenset(re.findall(r"\"(\w+)\"\s*:", text))
    entries = value if isinstance(value, list) else [value]
    return frozenset(key for entry in entries if isinstance(entry, dict) for key in entry)
