"""What keys mean whose models do not say it themselves, by model and key. Pure."""

from __future__ import annotations

from ci.tools import aisbench, lm_eval, vllm_bench

_SHARED = {
    "vllm": "vLLM version of configs/versions.yaml; an environment is made that has it. Without it "
    "the hosts' own vLLM is used",
    "device": "kind of machine: cpu, cuda or ascend; without it the cluster file says, or this "
    "machine is looked at",
    "cluster_hosts": "the hosts, one per node, as `[user@]host[:port]`; without it give --cluster "
    "or --local",
    "ready_timeout_s": "how many seconds the servers may take until they answer",
    "special_dependencies": "package → version, for the environment that vLLM runs from",
    "benchmarks": "name → evaluation; an empty one is left out",
    "kv_pool": "a store of key-value caches, started on host 0 before the servers",
    "envs": "environment variables",
    "node_index": "the host's index, which has to be the entry's own",
    "sweep": "axis → values; every combination is a case of its own, `${sweep.AXIS}` its value",
}
_BY_MODEL = {
    "Deployment": {
        "server_port": "`$SERVER_PORT` of servers whose environment has none",
        "env_common": "environment variables of every server",
        "disaggregated_prefill": "which hosts prefill and which decode",
        "router": "what stands in front of prefill and decode servers, where it is to be chosen",
    },
    "Server": {
        "env_extend": "the same as `envs`, give one of them",
        "envs": "environment variables, over those of `env_common`",
        "local_index": "the host's index, which has to be the entry's own",
        "master_index": "the host whose address is `$MASTER_IP`",
        "headless": "whether it answers no requests; its command line says so too, and that counts",
        "server_port": "`$SERVER_PORT`, where the environment has none",
    },
    "Disaggregation": {
        "enabled": "false means that all servers are equal and there is no router",
        "prefiller_host_index": "indices of the hosts that prefill, from 0",
        "decoder_host_index": "indices of the hosts that decode, from 0",
        "ranktable_gen_path": "of the oldest files; nothing reads it",
        "ranktable_path": "of the oldest files; nothing reads it",
    },
    "RouterEntry": {
        "kind": "`script` is a proxy script on the host, `vllm-router` that package, installed "
        "for it, `command` a command line of the case",
        "script": "the script's path on the host; without it $DISAGGREGATED_PREFILL_PROXY_SCRIPT "
        "names it, else the field's own example is taken",
        "command": "the whole command line, for kind: command",
        "arguments": "further arguments, for the other kinds",
        "host": "index of the host where it runs",
        "port": "where it answers",
        "health_path": "path that answers 200 when it is ready",
    },
    "ExternalDp": {"test_name": "the title in reports"},
    "Groups": {
        "prefiller": "indices of the hosts that prefill, for type: disaggregated_prefill",
        "decoder": "indices of the hosts that decode, for type: disaggregated_prefill",
        "worker": "indices of all hosts, for type: generic_dp",
    },
    "HostRanks": {
        "dp_size": "data-parallel ranks of the group in all",
        "dp_size_local": "data-parallel ranks on this host, a server each",
        "dp_rank_start": "the first of them",
        "tp_size": "tensor-parallel size",
        "cp_size": "context-parallel size",
        "sp_size": "sequence-parallel size",
        "pp_size": "pipeline-parallel size",
    },
    "KvPool": {
        "master_port": "where a mooncake store's master listens on host 0",
        "metrics_port": "where it tells its metrics",
        "meta_service_port": "where a memcache store's metadata service listens on host 0",
        "config_store_port": "where its configuration is kept",
    },
    "TestCase": {
        "service_mode": "`openai` is one server; `epd` servers that encode, servers that prefill "
        "and decode, and a proxy",
        "server_cmd": "what follows `vllm serve MODEL`",
        "server_cmd_extra": "further arguments, after those of `server_cmd`",
        "epd_server_cmds": "arguments of every server, for service_mode: epd",
        "epd_proxy_args": "arguments of the proxy, for service_mode: epd",
        "test_content": "what is run of it besides the benchmarks",
        "prompts": "what the first proof of the server asks",
        "api_keyword_args": "arguments of these requests, such as max_tokens",
        "mm_request": "a request with images; it is not asked yet",
        "expected_response": "what it should be answered; it is not asked yet",
        "benchmark_comparisons_args": "pairs of benchmarks whose figures are compared",
    },
    "ComparisonEntry": {
        "metric": "the figure that is compared",
        "ratio": "what the baseline's figure is multiplied by",
        "operator": "how the target's figure has to stand to that",
    },
    "Entry": {
        "tool": "who asks: aisbench, lm_eval or vllm_bench",
        "request_conf": "AISBench's name of the way to ask: chat or completions, streamed or not",
        "dataset_conf": "AISBench's FOLDER/NAME of prompt and scoring; without it the dataset's "
        "usual one",
        "num_prompts": "how many questions; all of the dataset without it, or where it has no "
        "more; `vllm_bench` makes as many prompts as this says",
        "request_rate": "requests per second; 0 is as fast as `batch_size` allows",
        "temperature": "of sampling; without it performance is measured at "
        f"{vllm_bench.TEMPERATURE:g}, and accuracy at {aisbench.TEMPERATURES['accuracy']:g} with "
        f"`aisbench`, as the field's own runner does, at {lm_eval.TEMPERATURE:g} with `lm_eval`",
        "top_p": "of sampling",
        "top_k": "of sampling",
        "min_p": "of sampling",
        "seed": "of sampling",
        "presence_penalty": "of sampling",
        "repetition_penalty": "of sampling",
        "stop": "texts that end an answer",
        "ignore_eos": "whether answers go on to `max_out_len`; performance runs ask for it unless "
        "this is false, and `vllm bench serve` of vLLM 0.27.1 and later even then",
        "thinking": "short for `chat_template_kwargs: {thinking: …}`",
        "enable_thinking": "short for `chat_template_kwargs: {enable_thinking: …}`",
        "chat_template_kwargs": "what goes to the model's chat template",
        "no_pred": "whether answers are scored with their reasoning in them",
        "model_path": "the folder or name of the model's tokenizer, where `model` is not it",
        "dataset_path_local": "a folder that wins over `dataset_path`",
        "case_name": "a title",
        "trust_remote_code": "whether the tokenizer may run code of its own",
        "deadline_s": "how many seconds it may take",
        "bos_token_id": "of a model's generation_config.json; nothing reads it",
        "eos_token_id": "of a model's generation_config.json; nothing reads it",
        "do_sample": "of a model's generation_config.json; nothing reads it",
        "logprobs": "of a model's generation_config.json; nothing reads it",
        "transformers_version": "of a model's generation_config.json; nothing reads it",
    },
}


def meaning_of(model: str, key: str, own: str | None = None) -> str:
    """Say what a key means.

    Args:
        model: name of the model that it is of; empty for what all dialects have.
        key: the key.
        own: the model's own description, written for a key that is missing: "it is …".

    Raises:
        LookupError: nobody says it; add it to the model's field or here.
    """
    if own:
        return own.removeprefix("it is ").removeprefix("it ")
    said = _BY_MODEL.get(model, {}).get(key) or _SHARED.get(key)
    if said is None:
        raise LookupError(f"nothing says what {model}.{key} means")
    return said


def said_here() -> set[tuple[str, str]]:
    """Name every model and key whose meaning is said here."""
    return {(model, key) for model, keys in _BY_MODEL.items() for key in keys}
