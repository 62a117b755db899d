"""Describe the keys of case files that have no description in their models. Pure."""

from __future__ import annotations

from ci.tools import aisbench, evalscope_data, lm_eval, vllm_bench
from ci.tools.bench_data import INPUT_TOKENS, PREFIXES

_SHARED = {
    "k8s_delete_yaml": "manifest whose objects `inv k8s.nightly` also deletes at the end, as a "
    "path from the working directory or from the case file; $LAMPLIGHTER_K8S_DELETE_YAML replaces "
    "it",
    "functional": "functional suite that the night runs after its smoke test: a path, also beside "
    "the case file, or a name in configs/functional; see docs/functional.md",
    "vllm": "vLLM version, an entry of configs/versions.yaml; the night creates its environment. "
    "Default: the vLLM that the hosts have",
    "device": "device kind: cpu, cuda or ascend. Default: the kind of the cluster file, or the "
    "kind of this machine",
    "cluster_hosts": "the hosts, one per node, as `[user@]host[:port]`; without this key, use "
    "--cluster or --local",
    "telemetry": "what the hosts may do while something is measured; `off` samples nothing. A "
    "figure of performance that was taken above a bound is void: if it has a baseline, its check "
    "is unknown, with the reason",
    "startup": "figure of the servers' start → baseline and threshold; see below",
    "judge": "which earlier nights a figure is compared with, and how many false alarms are "
    "accepted; see judging.md",
    "ready_timeout_s": "maximum time until the servers answer, in seconds",
    "tags": "words by which a suite chooses cases; see suites.md",
    "special_dependencies": "package → version; added to the environment of vLLM",
    "env_script": "a script on the hosts, such as CANN's set_env.sh, or a list of them; each may "
    "have arguments. Bash sources them once per run, after those of the cluster file. Servers, "
    "router, services and tools get the resulting environment; the case's own variables override "
    "it",
    "benchmarks": "name → benchmark",
    "kv_pool": "a store for KV caches, started on host 0 before the servers",
    "envs": "environment variables",
    "node_index": "index of the host; it must equal the position of the entry in the list, from 0",
    "sweep": "axis → values; each combination is a separate case, and `${sweep.AXIS}` is its value",
}
_PROVE_HEALTH = (
    "`true`: after the measurements a prefill server, a decode server and the router are ended one "
    "after another; the night fails if the router's health says 200 while requests are not answered"
)
_ANSWER = {
    "status_code": "HTTP status",
    "assert_not_empty": "whether the answer must have a text",
    "content_contains": "texts that the answer must contain",
    "min_length": "smallest number of characters",
    "max_length": "largest number of characters",
    "prompt_tokens": "number of tokens of the prompt",
    "completion_tokens": "number of tokens of the answer; the request asks for as many",
    "max_model_len": "largest number of tokens of prompt and answer",
}
_BY_MODEL = {
    "Deployment": {
        "server_port": "value of `$SERVER_PORT` for servers whose environment does not set it",
        "env_common": "environment variables of all servers",
        "disaggregated_prefill": "the hosts for prefill and the hosts for decode",
        "router": "the router in front of the prefill and decode servers; it has a default",
    },
    "Server": {
        "env_extend": "another name for `envs`; use only one of them",
        "envs": "environment variables; they override those of `env_common`",
        "local_index": "index of the host; it must equal the position of the entry, from 0",
        "master_index": "index of the host whose address is `$MASTER_IP`",
        "headless": "true if the server answers no requests; the flag in `server_cmd` has priority",
        "server_port": "value of `$SERVER_PORT` if the environment does not set it",
    },
    "Disaggregation": {
        "enabled": "false: all servers have the same role, and there is no router",
        "prefiller_host_index": "indices of the prefill hosts, from 0",
        "decoder_host_index": "indices of the decode hosts, from 0",
        "ranktable_gen_path": "ignored; a key of old case files",
        "ranktable_path": "ignored; a key of old case files",
    },
    "RouterEntry": {
        "kind": "`script`: a proxy script on the host; `vllm-router`: the package of that name, "
        "which the night installs; `command`: a command line of the case",
        "script": "path of the script on the host. Default: the value of "
        "$DISAGGREGATED_PREFILL_PROXY_SCRIPT, or vllm-ascend's example script",
        "command": "the whole command line, for `kind: command`",
        "arguments": "additional arguments, for the other kinds",
        "host": "index of the host where the router runs",
        "port": "port of the router",
        "health_path": "URL path that returns 200 when the router is ready",
        "prove_health": _PROVE_HEALTH,
    },
    "Telemetry": {
        "sampled": "false: nothing is sampled, and no figure is void; `telemetry: off` is short "
        "for it",
        "steal_percent": "CPU time that other guests of the machine may take, of all CPU time",
        "foreign_cpu_percent": "CPU time that processes outside the run may take, of the cores "
        "that the run may use",
        "disturbed_percent": "share of the seconds in which a device may be slowed down or used by "
        "another process, the host may swap, or a fifth of the CPU time may be taken",
        "lost_percent": "share of the seconds of which there may be no sample",
        "network_errors": "errors that an interface may count",
    },
    "ExternalDp": {"test_name": "the title in reports"},
    "Routing": {"prove_health": _PROVE_HEALTH},
    "Groups": {
        "prefiller": "indices of the prefill hosts, for `type: disaggregated_prefill`",
        "decoder": "indices of the decode hosts, for `type: disaggregated_prefill`",
        "worker": "indices of all hosts, for `type: generic_dp`",
    },
    "HostRanks": {
        "dp_size": "number of data-parallel ranks in the group",
        "dp_size_local": "number of data-parallel ranks on this host; each is a server",
        "dp_rank_start": "first data-parallel rank of this host",
        "tp_size": "tensor-parallel size",
        "cp_size": "context-parallel size",
        "sp_size": "sequence-parallel size",
        "pp_size": "pipeline-parallel size",
    },
    "KvPool": {
        "master_port": "port of the master on host 0, for `type: mooncake`",
        "metrics_port": "port of its metrics, for `type: mooncake`",
        "meta_service_port": "port of the metadata service on host 0, for `type: memcache`",
        "config_store_port": "port of its configuration store, for `type: memcache`",
    },
    "TestCase": {
        "service_mode": "`openai`: one server; `epd`: encode servers, servers for prefill and "
        "decode, and a proxy",
        "server_cmd": "arguments after `vllm serve MODEL`, or the whole command line",
        "server_cmd_extra": "additional arguments, after those of `server_cmd`",
        "epd_server_cmds": "arguments of each server, for `service_mode: epd`",
        "epd_proxy_args": "arguments of the proxy, for `service_mode: epd`",
        "test_content": "the tests to run in addition to the benchmarks",
        "prompts": "one request for each, of `completion`, `chat_completion` and `messages`",
        "api_keyword_args": "arguments of these requests, such as max_tokens: a mapping for all "
        "prompts, or a list with one for each (not for `completion`)",
        "mm_request": "the request of `image`: a chat about pictures",
        "expected_response": "what the answers of `image` and `chat_completion` have to be",
        "benchmark_comparisons_args": "pairs of benchmarks whose figures are compared",
    },
    "MmRequest": {
        "images": "the pictures: each a file's path on this machine or the leader, or the name of "
        "a dataset with `test_mm2.jpg`; null for `image_path`",
        "image_path": "the picture where none is named. Default: $MM_IMAGE_PATH, else the dataset "
        "vllm-ascend/mm_request",
        "text_prompt": "the text before the pictures; without `messages`",
        "messages": "the messages; in them `{IMAGE_0}` is the first of `images`, an image without "
        "a URL the next one, and a path a picture",
        "api_args": "further keys of the request, such as max_tokens",
    },
    "ExpectedAnswer": _ANSWER,
    "ExpectedResponse": {
        **_ANSWER,
        "per_prompt": "for `chat_completion`: one for each of `prompts`",
    },
    "ComparisonEntry": {
        "metric": "the figure to compare",
        "ratio": "factor for the baseline benchmark's figure",
        "operator": "how the target's figure must compare with ratio × the baseline's figure",
    },
    "Entry": {
        "tool": "the evaluation tool: aisbench, evalscope, lm_eval or vllm_bench",
        "request_conf": "AISBench's name of the request type: chat or completions, streamed or not",
        "dataset_conf": "with `aisbench`, its FOLDER/NAME of prompt and scoring; default: the "
        "usual one of the dataset. With `lm_eval`, the name of one of its tasks; default: "
        "Lamplighter's own task. With `evalscope`, "
        f"{', '.join(f'`{name}`' for name in (evalscope_data.GSM8K, *evalscope_data.DATASETS))}; "
        "default: `gsm8k`. With `vllm_bench`, `random`, `prefix_repetition`, `custom` or "
        "`sharegpt`; default: `random`, or `custom` if the name of the dataset says how it is made",
        "num_fewshot": "`lm_eval`, `evalscope`: number of examples in front of each question. "
        "Default: that of the task, or of EvalScope's dataset",
        "filter": "`lm_eval`: which of the task's filters gives the figure. Default: its first",
        "metric": "`lm_eval`: which of the task's metrics is the figure. Default: its first",
        "num_prompts": "number of questions. Default and maximum: the whole dataset. `vllm_bench` "
        "with `random` or `prefix_repetition` generates this many prompts itself",
        "input_len": "`vllm_bench`: tokens of each generated prompt, without `prefix_len`. "
        f"Default: {INPUT_TOKENS}",
        "range_ratio": "`vllm_bench`, `random`: the tokens of each prompt and answer are between "
        "1 - this and 1 + this times `input_len` and `max_out_len`",
        "prefix_len": "`vllm_bench`: tokens in front of `input_len` that prompts have in common",
        "num_prefixes": "`vllm_bench`, `prefix_repetition`: number of different prefixes. "
        f"Default: {PREFIXES}",
        "request_rate": "requests per second; 0 means as fast as `batch_size` allows",
        "burstiness": "`vllm_bench`: shape of the gamma distribution of the times between "
        "requests; below 1 is more bursty, above 1 more even. Default: 1, a Poisson process",
        "goodput": "`vllm_bench`: limits in ms for `ttft`, `tpot` or `e2el`; requests within all "
        "of them count for the figure `request_goodput`",
        "temperature": "sampling parameter. Default for performance: "
        f"{vllm_bench.TEMPERATURE:g}. Default for accuracy: "
        f"{aisbench.TEMPERATURES['accuracy']:g} with `aisbench`, as in vllm-ascend's runner, and "
        f"{lm_eval.TEMPERATURE:g} with `lm_eval` and `evalscope`",
        "top_p": "sampling parameter",
        "top_k": "sampling parameter",
        "min_p": "sampling parameter",
        "seed": "sampling parameter",
        "presence_penalty": "sampling parameter",
        "repetition_penalty": "sampling parameter",
        "stop": "texts that stop an answer",
        "ignore_eos": "true if each answer continues to `max_out_len`. Performance benchmarks use "
        "true unless this is false; `vllm bench serve` of vLLM 0.27.1 and later always uses true",
        "thinking": "short for `chat_template_kwargs: {thinking: …}`",
        "enable_thinking": "short for `chat_template_kwargs: {enable_thinking: …}`",
        "chat_template_kwargs": "arguments of the model's chat template",
        "no_pred": "true if the score includes the reasoning part of an answer",
        "model_path": "the tokenizer: a folder on the endpoint's host, or a name on a hub. "
        "Default: that of the server",
        "dataset_path_local": "a folder; it has priority over `dataset_path`",
        "case_name": "a title",
        "without_router": "true if a benchmark of accuracy is also measured without the router, as "
        "`NAME-without-router`; a check compares both results item by item",
        "trust_remote_code": "whether the tokenizer may run its own code, as vllm-ascend's runner "
        "allows it",
        "deadline_s": "maximum duration of the benchmark, in seconds; of each pass, with `repeats`",
        "metrics": "further figures to judge → baseline and threshold; see below",
        "bos_token_id": "ignored; a key of generation_config.json",
        "eos_token_id": "ignored; a key of generation_config.json",
        "do_sample": "ignored; a key of generation_config.json",
        "logprobs": "ignored; a key of generation_config.json",
        "transformers_version": "ignored; a key of generation_config.json",
    },
}


def meaning_of(model: str, key: str, own: str | None = None) -> str:
    """Return the meaning of a key.

    Args:
        model: name of the key's model; empty for keys of all dialects.
        key: the key.
        own: the model's description, in the form of messages about missing keys: "it is …".

    Raises:
        LookupError: the key has no description; add one to the model's field or here.
    """
    if own:
        return own.removeprefix("it is ").removeprefix("it ")
    meaning = _BY_MODEL.get(model, {}).get(key) or _SHARED.get(key)
    if meaning is None:
        raise LookupError(f"{model}.{key} has no description")
    return meaning


def described_keys() -> set[tuple[str, str]]:
    """Return each model and key with a description here."""
    return {(model, key) for model, keys in _BY_MODEL.items() for key in keys}
