"""Write a commented case with prefill and decode apart. Pure."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from ci.case.convert.converted import scalar
from ci.case.prefill_decode.axes import Axis, labels_of
from ci.case.prefill_decode.model import ROLES, instances_of, most_devices

if TYPE_CHECKING:
    from ci.case.prefill_decode.model import Instance, Wanted

# As in configs/cases/Llama-3.2-1B-pd-sweep.yaml.
_NIXL = "1.5.1"
_KV_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}


def text_of(wanted: Wanted) -> str:
    """Write the case: its instances, the router in front of them, an accuracy benchmark."""
    tp, block = Axis("tp", wanted.tp), Axis("block", wanted.blocks)
    lines = [*_head(wanted), *_top(wanted, tp, block), *_sweep(wanted, tp, block)]
    lines += [*_environment(wanted), *_roles(wanted), *_router(wanted), "", "deployment:"]
    for instance in instances_of(wanted):
        lines += _server(wanted, instance, tp, block)
    return "".join(f"{line}\n" for line in [*lines, *_benchmark(wanted)])


def _head(wanted: Wanted) -> list[str]:
    prefill, decode = wanted.instances.prefill, wanted.instances.decode
    where = "on this machine" if wanted.local else "each on a host of its own"
    lines = [
        "# Made by `inv case.prefill-decode`. All keys: docs/cases.md. Next: `inv check`, then",
        f"# `inv plan`. {prefill} prefill and {decode} decode instances {where}, behind a router.",
    ]
    if wanted.local and wanted.devices:
        total = most_devices(wanted.instances, wanted.tp)[1]
        lines.append("# A plan gives each instance the next devices of the machine, prefill first:")
        lines.append(f"# {total} devices at most. `inv plan --local` shows them.")
    return lines


def _top(wanted: Wanted, tp: Axis, block: Axis) -> list[str]:
    several = len(wanted.models) > 1
    [first, *_] = wanted.models
    model = "${sweep.model.name}" if several else first
    title = "${sweep.model.served}" if several else labels_of(wanted.models)[first]
    title += f", {wanted.instances.prefill} prefill and {wanted.instances.decode} decode instances"
    title += f", TP {tp.title()}, blocks of {block.title()}"
    version = (
        f"vllm: {scalar(wanted.vllm)}  # a night installs it; `inv versions` lists the others"
        if wanted.vllm
        else "# vllm: 0.32.0  # without it, the vLLM that the hosts have is used"
    )
    count = wanted.instances.prefill + wanted.instances.decode
    here = "; --local runs all of them on this machine" if wanted.local else ""
    packages = []
    if wanted.connector == "NixlConnector":
        packages = [
            "special_dependencies:",
            f'  nixl: "{_NIXL}"  # transfers the KV cache; not tested here with every vLLM',
        ]
        if not wanted.vllm:
            packages = ["# NixlConnector needs the package nixl beside the hosts' vLLM."]
    return [
        f"test_name: {scalar(title)}",
        f"model: {scalar(model)}",
        version,
        f"device: {wanted.device}",
        f"num_nodes: {count}  # one for each instance{here}",
        f"npu_per_node: {wanted.devices}  # devices of a host, of any kind",
        "ready_timeout_s: 2800  # loading and compiling a large model takes long",
        *packages,
    ]


def _sweep(wanted: Wanted, tp: Axis, block: Axis) -> list[str]:
    lines = []
    if len(wanted.models) > 1:
        lines.append("  model:")
        for model, label in labels_of(wanted.models).items():
            own = {"label": label, "name": model, "served": label.lower()}
            lines.append(f"    - {json.dumps(own, ensure_ascii=False)}")
    lines += [*tp.lines(), *block.lines()]
    comment = "# Each combination is a case of its own; `--config FILE#NAME` selects one."
    return ["", comment, "sweep:", *lines] if lines else []


def _environment(wanted: Wanted) -> list[str]:
    lines = ["", "env_common:", "  VLLM_NO_USAGE_STATS: 1"]
    if wanted.offline:
        lines.append("  HF_HUB_OFFLINE: 1  # the model is on the hosts")
    if wanted.device == "cpu":
        lines.append("  VLLM_CPU_KVCACHE_SPACE: 1  # GiB of memory for the KV cache")
    if wanted.connector == "NixlConnector":
        lines.append("  VLLM_NIXL_SIDE_CHANNEL_HOST: $LOCAL_IP")
    if wanted.flashinfer and not wanted.backend_by_flag:
        lines.append("  VLLM_ATTENTION_BACKEND: FLASHINFER")
    return lines


def _roles(wanted: Wanted) -> list[str]:
    nodes = {role: [i.node for i in instances_of(wanted) if i.role == role] for role in ROLES}
    return [
        "",
        "disaggregated_prefill:",
        f"  prefiller_host_index: {nodes['prefill']}",
        f"  decoder_host_index: {nodes['decode']}",
    ]


def _router(wanted: Wanted) -> list[str]:
    lines = ["", "router:", f"  kind: {wanted.router}", f"  port: {wanted.router_port}"]
    if wanted.router == "script":
        copied = "" if wanted.local else "  # copy configs/proxies/prefill_decode_proxy.py there"
        lines.append(f"  script: {scalar(wanted.script)}{copied}")
        lines.append(f"  folder: {scalar(str(PurePosixPath(wanted.script).parent))}")
    return lines


def _server(wanted: Wanted, instance: Instance, tp: Axis, block: Axis) -> list[str]:
    served = (
        "${sweep.model.served}"
        if len(wanted.models) > 1
        else labels_of(wanted.models)[wanted.models[0]].lower()
    )
    words = [
        "vllm serve $MODEL",
        f"--served-model-name {served}",
        f"--host {'127.0.0.1' if wanted.local else '0.0.0.0'}",  # noqa: S104 - other hosts ask it
        "--port $SERVER_PORT",
        f"--tensor-parallel-size {tp.of(instance.role)}",
        f"--block-size {block.of(instance.role)}",
        f"--max-model-len {wanted.max_model_len}",
    ]
    if wanted.utilization:
        words.append(f"--gpu-memory-utilization {wanted.utilization}")
    if wanted.device == "cpu":
        words += ["--max-num-seqs 8", "--enforce-eager"]
    if wanted.connector == "ExampleConnector":
        words.append("--no-enable-prefix-caching")
    if wanted.flashinfer and wanted.backend_by_flag:
        words.append("--attention-backend FLASHINFER")
    words.append(f"--kv-transfer-config '{_transfer(wanted, instance, tp)}'")
    ports = f"SERVER_PORT: {instance.port}"
    if wanted.connector == "NixlConnector":
        ports += f", VLLM_NIXL_SIDE_CHANNEL_PORT: {instance.side_port}"
    return [
        f"  - envs: {{{ports}}}  # {instance.role}",
        "    server_cmd: >-",
        *(f"      {word}" for word in words),
    ]


def _transfer(wanted: Wanted, instance: Instance, tp: Axis) -> str:
    """Write the configuration of an instance's connector as JSON."""
    text = json.dumps(_transfer_config(wanted, instance, tp))
    return re.sub(r'"(\$\{sweep[^}]*\})"', r"\1", text)  # a number, once it is replaced


def _transfer_config(wanted: Wanted, instance: Instance, tp: Axis) -> dict[str, object]:
    config: dict[str, object] = {"kv_connector": wanted.connector}
    if wanted.connector == "ExampleConnector":
        # Inside the folder of the run, so that it is deleted with it.
        storage = {"shared_storage_path": "$FOLDER/../kv"}
        return config | {"kv_role": "kv_both", "kv_connector_extra_config": storage}
    config["kv_role"] = _KV_ROLES[instance.role]
    if wanted.connector == "NixlConnector":
        return config | {"kv_buffer_device": wanted.kv_buffer_device}
    sizes = {role: {"dp_size": 1, "tp_size": _number(tp.of(role))} for role in ROLES}
    return config | {"kv_port": instance.side_port, "kv_connector_extra_config": sizes}


def _number(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _benchmark(wanted: Wanted) -> list[str]:
    answer = min(1024, max(1, wanted.max_model_len // 2))
    head = ["", "benchmarks:"]
    lines = ["  accuracy:", "    case_type: accuracy"]
    if wanted.made_here:
        return [
            *head,
            "  # Five to seven of 16 answers were right, depending on the CPU; two still pass.",
            *lines,
            "    dataset_path: lamplighter/arithmetic",
            "    request_conf: vllm_api_general_chat",
            "    dataset_conf: gsm8k/gsm8k_gen_0_shot_cot_chat_prompt",
            f"    num_prompts: {wanted.num_prompts}",
            f"    max_out_len: {min(96, answer)}",
            "    batch_size: 4",
            "    temperature: 0",
            "    baseline: 40",
            "    threshold: 30",
        ]
    return [
        *head,
        "  # Each combination has to reach the same score: a wrong KV cache lowers it. Every score",
        "  # passes until there are a `baseline`, that of good nights, and a `threshold`, how many",
        "  # percentage points below it still pass.",
        *lines,
        "    dataset_path: gsm8k",
        f"    num_prompts: {wanted.num_prompts}  # of 1319",
        f"    max_out_len: {answer}",
        "    batch_size: 32",
        "    temperature: 0",
        *_without_router(wanted),
    ]


def _without_router(wanted: Wanted) -> list[str]:
    """Compare the answers with those of a server alone, except where it finds the same caches."""
    if wanted.connector == "ExampleConnector":
        return []
    return ["    without_router: true  # measured twice: also sent to a decode server itself"]
