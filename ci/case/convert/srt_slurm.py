"""Convert an srt-slurm recipe for vLLM to a case with one server per host. Pure.

Both schemas: `backend` with `vllm_config`, and `engine` with `roles`:
https://github.com/NVIDIA/srt-slurm/blob/main/docs/config-reference.md
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.case.convert.converted import Converted, Load, arguments, head, scalar
from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_CONVERTED = {
    *("schema", "name", "model", "resources", "backend", "engine", "roles", "benchmark"),
    *("health_check", "environment", "frontend", "identity"),
}
# Role → its name in the schemas.
_NAMES = {"mixed": ("aggregated", "agg"), "prefill": ("prefill",) * 2, "decode": ("decode",) * 2}
# srt-slurm derives these from the allocation, and so does this.
_DERIVED = (
    *("host", "port", "headless", "master-addr", "master-port", "nnodes", "node-rank"),
    *("data-parallel-size-local", "data-parallel-start-rank", "data-parallel-hybrid-lb"),
    *("data-parallel-address", "data-parallel-rpc-port", "connector"),
)
_NIXL = {"kv_connector": "NixlConnector", "kv_role": "kv_both"}
_PORT, _RPC_PORT = 8000, 13345
_PROMPTS_PER_REQUEST = 10  # of sa-bench
_LOADS = ("sa-bench", "vllm-bench")
_READ = {
    *("type", "isl", "osl", "concurrencies", "req_rate", "use_chat_template"),
    *("random_range_ratio", "num_prompts", "num_prompts_mult"),
}
_ACCURACY = {"gsm8k": 512, "gpqa": 32768}


@dataclass(frozen=True)
class Worker:
    """One worker of a role: its arguments, its environment, and the number of its hosts."""

    role: str
    args: Mapping[str, Any]
    env: Mapping[str, Any]
    hosts: int


def convert(recipe: Mapping[str, Any], file: str) -> Converted:
    """Convert a recipe.

    Raises:
        UserError: it is a template of several recipes, or has no worker.
    """
    if "sweep" in recipe or any(str(key).startswith("override_") for key in recipe):
        raise UserError(
            f"{file}: is a template of several recipes; write them out with srtctl first"
        )
    devices = _number(_section(recipe, "resources").get("gpus_per_node"), 4)
    lost = [f"{key}: has no counterpart in a case" for key in recipe if key not in _CONVERTED]
    workers = list(_workers(recipe, devices, lost))
    if not workers:
        raise UserError(f"{file}: has no worker of vLLM; give `resources` and `vllm_config`")
    disaggregated = any(worker.role != "mixed" for worker in workers)
    if not disaggregated and len(workers) > 1:
        lost.append(f"{len(workers)} replicas behind a router: the case has one")
        workers = workers[:1]
    lines = [*_top(recipe, workers, devices, lost)]
    if disaggregated:
        lines += _roles(recipe, workers, lost)
    lines += ["deployment:", *_servers(recipe, workers, devices)]
    lines += _benchmarks(_section(recipe, "benchmark"), lost)
    lost = list(dict.fromkeys(lost))
    return Converted(head(file, lost) + "".join(f"{line}\n" for line in lines), tuple(lost))


def _section(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    section = value.get(key)
    return section if isinstance(section, dict) else {}


def _number(value: object, default: int) -> int:
    return (
        value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else default
    )


def _workers(recipe: Mapping[str, Any], devices: int, lost: list[str]) -> Iterator[Worker]:
    resources, engine = _section(recipe, "resources"), _section(recipe, "backend")
    for role, (old, new) in _NAMES.items():
        own = _section(_section(recipe, "roles"), new)
        short = "agg" if role == "mixed" else role
        nodes = own.get("nodes", resources.get(f"{short}_nodes"))
        if nodes is None and not own:
            continue
        count = _number(own.get("workers", resources.get(f"{short}_workers")), 1)
        args = own.get("args") or _section(engine, "vllm_config").get(old) or {}
        env = own.get("env") or engine.get(f"{old}_environment") or {}
        needs = _size(args)
        hosts = max(1, -(-needs // devices))
        if hosts * count > _number(nodes, 0):
            lost.append(f"several workers on one node: each of {count} for {role} has its own host")
        yield from [Worker(role, args, env, hosts)] * count


def _size(args: Mapping[str, Any], *names: str) -> int:
    """Return the number of devices of one worker; of some of its parallel sizes only, if named."""
    plain = {str(key).replace("_", "-"): value for key, value in args.items()}
    size = 1
    for name in names or ("tensor-parallel-size", "pipeline-parallel-size", "data-parallel-size"):
        size *= _number(plain.get(name), 1)
    return size


def _top(
    recipe: Mapping[str, Any], workers: list[Worker], devices: int, lost: list[str]
) -> Iterator[str]:
    model, health = _section(recipe, "model"), _section(recipe, "health_check")
    path = str(model.get("path", "MODEL")).removeprefix("hf:")
    identity = _section(recipe, "identity")
    named = str(_section(identity, "model").get("repo", ""))
    if "/" not in path and named:
        lost.append(f"model.path {path}: an alias of srtslurm.yaml; the case has {named}")
        path = named
    elif "/" not in path:
        lost.append(f"model.path {path}: an alias of srtslurm.yaml; write a folder or a name")
    container = str(model.get("container") or "")
    version = _version(str(_section(identity, "frameworks").get("vllm", ""))) or _version(container)
    if container:
        lost.append(f"model.container {container}: name its version under `vllm`")
    attempts = _number(health.get("max_attempts"), 180)
    yield f"test_name: {scalar(str(recipe.get('name', 'converted')))}"
    yield f"model: {scalar(path)}"
    yield f"# vllm: {version or '0.32.0'}  # the hosts' own vLLM, unless this names a version"
    yield "device: cuda"
    yield f"num_nodes: {sum(worker.hosts for worker in workers)}"
    yield f"npu_per_node: {devices}"
    yield f"ready_timeout_s: {attempts * _number(health.get('interval_seconds'), 10)}"
    if common := _section(recipe, "environment"):
        yield "env_common:"
        yield from (f"  {scalar(str(key))}: {scalar(str(value))}" for key, value in common.items())


def _version(text: str) -> str:
    """Return vLLM's version in the name of an image of vLLM; empty if there is none."""
    match = re.fullmatch(r"(?:.*vllm-openai:)?v?(\d+\.\d+\.\d+)(?:[-@].*)?", text)
    return match[1] if match else ""


def _roles(recipe: Mapping[str, Any], workers: list[Worker], lost: list[str]) -> list[str]:
    frontend = _section(recipe, "frontend").get("type", "dynamo")
    if frontend != "vllm-router":
        lost.append(f"frontend {frontend}: vllm-router is in front of the servers")
    hosts: dict[str, list[int]] = {"prefill": [], "decode": [], "mixed": []}
    first = 0
    for worker in workers:
        hosts[worker.role].append(first)
        first += worker.hosts
    return [
        "disaggregated_prefill:",
        f"  prefiller_host_index: {hosts['prefill']}",
        f"  decoder_host_index: {hosts['decode']}",
        "router:",
        "  kind: vllm-router",
    ]


def _servers(recipe: Mapping[str, Any], workers: list[Worker], devices: int) -> Iterator[str]:
    first = 0
    for worker in workers:
        for index in range(worker.hosts):
            over = _over_hosts(worker, index, first, devices)
            headless = "--headless" in over
            env: dict[str, Any] = {} if headless else {"SERVER_PORT": str(_PORT)}
            env |= worker.env
            yield "  - envs:" if env else "  - envs: {}"
            yield from (
                f"      {scalar(str(key))}: {scalar(str(value))}" for key, value in env.items()
            )
            yield "    server_cmd:"
            words = ["vllm", "serve", "$MODEL"]
            words += [] if headless else ["--port", "$SERVER_PORT"]
            words += [word for flag in arguments(worker.args, _DERIVED) for word in flag]
            words += _transfer(recipe, worker)
            words += over
            yield from (f"      - {scalar(word)}" for word in words)
        first += worker.hosts


def _transfer(recipe: Mapping[str, Any], worker: Worker) -> list[str]:
    engine = _section(recipe, "engine") or _section(recipe, "backend")
    connector = worker.args.get("connector", engine.get("connector", "nixl"))
    has = any(str(key).replace("_", "-") == "kv-transfer-config" for key in worker.args)
    needs = worker.role != "mixed" and not has and connector == "nixl"
    return ["--kv-transfer-config", json.dumps(_NIXL)] if needs else []


def _over_hosts(worker: Worker, index: int, first: int, devices: int) -> list[str]:
    """Return the flags that make several servers one: data parallelism, or nodes of one rank."""
    if worker.hosts == 1:
        return []
    ranks = _size(worker.args, "data-parallel-size")
    one = _size(worker.args, "tensor-parallel-size", "pipeline-parallel-size")
    head = f"$NODE_{first}_IP"
    follows = ["--headless"] if index else []
    if one > devices:
        place = ["--nnodes", str(worker.hosts), "--node-rank", str(index), "--master-addr", head]
        return [*place, *follows]
    local = devices // one
    start = ["--data-parallel-start-rank", str(index * local)] if index else []
    own = ["--data-parallel-size-local", str(min(local, ranks - index * local))]
    meet = ["--data-parallel-address", head, "--data-parallel-rpc-port", str(_RPC_PORT + first)]
    return [*own, *start, *meet, *follows]


def _benchmarks(bench: Mapping[str, Any], lost: list[str]) -> list[str]:
    kind = str(bench.get("type", "manual"))
    if kind in _LOADS:
        loads = list(_loads(bench))
        ratio = bench.get("random_range_ratio", 0.8 if kind == "sa-bench" else 1)
        if ratio != 1:
            lost.append(
                f"benchmark.random_range_ratio {ratio}: prompts and answers of {ratio} to 1 times "
                "the lengths; here all have the whole length"
            )
        unread = [key for key in bench if key not in _READ]
        lost += [f"benchmark.{key}: has no counterpart in a case" for key in unread]
        return ["# No baselines yet.", "benchmarks:", *(f"  {x}" for o in loads for x in o.lines())]
    if kind in _ACCURACY:
        lines = ["case_type: accuracy", f"dataset_path: {kind}", f"max_out_len: {_ACCURACY[kind]}"]
        return [
            "benchmarks:",
            f"  {kind}:",
            *(f"    {line}" for line in [*lines, "batch_size: 64"]),
        ]
    if kind != "manual":
        lost.append(f"benchmark {kind}: has no counterpart; write one under `benchmarks`")
    return []


def _loads(bench: Mapping[str, Any]) -> Iterator[Load]:
    listed = bench.get("concurrencies", [1])
    written = listed if isinstance(listed, list) else re.split("x", str(listed))
    rate = str(bench.get("req_rate", "inf"))
    per_request = _number(bench.get("num_prompts_mult"), _PROMPTS_PER_REQUEST)
    for concurrency in (int(str(item)) for item in written):
        yield Load(
            name=f"concurrency-{concurrency}",
            prompt=_number(bench.get("isl"), 1024),
            output=_number(bench.get("osl"), 1024),
            prompts=_number(bench.get("num_prompts"), concurrency * per_request),
            concurrency=concurrency,
            rate=0 if rate == "inf" else float(rate),
            backend="openai-chat" if bench.get("use_chat_template", True) else "vllm",
        )
