"""The flags of `inv case.*`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import (
    CLUSTER,
    DEVICES,
    LOCAL,
    MAX_MODEL_LEN,
    NUM_PROMPTS,
    VLLM,
    Device,
)


@dataclass(frozen=True)
class To:
    """The flag for a new case file."""

    to: str = flag(
        "path of the case to write; default: named after the file or model, in the current folder"
    )


@dataclass(frozen=True)
class Import(To):
    """The flags of `inv case.import`."""

    file: str = flag(
        "a serving-tests.json of vLLM, or an srt-slurm recipe for vLLM; the flag may be left out"
    )


@dataclass(frozen=True)
class New(To, Device):
    """The flags of `inv case.new`."""

    model: str = flag("name of the model on a hub, or its folder on the hosts; asked if missing")
    cluster: str = CLUSTER
    nodes: int = flag("number of hosts; default: those of the cluster file, else 1", 0)
    devices: int = DEVICES
    vllm: str = VLLM
    max_model_len: int = MAX_MODEL_LEN


@dataclass(frozen=True)
class PrefillDecode(To, Device):
    """The flags of `inv case.prefill-decode`; see ci/case/prefill_decode/settings.py."""

    model: str = flag(
        "names of models on a hub, or folders on the hosts, separated by commas; default: "
        "$MODEL_NAMES, else meta-llama/Llama-3.2-1B-Instruct"
    )
    prefill_instances: str = flag(
        "number of prefill servers; default: $NUM_PREFILL_INSTANCES, else 1"
    )
    decode_instances: str = flag("number of decode servers; default: $NUM_DECODE_INSTANCES, else 1")
    prefill_tp: str = flag(
        "tensor-parallel sizes of prefill, e.g. 2,1,1: each makes a case with the --decode-tp at "
        "its place; default: $PREFILLER_TP_SIZE, else 1"
    )
    decode_tp: str = flag("tensor-parallel sizes of decode; default: $DECODER_TP_SIZE, else 1")
    prefill_block_size: str = flag(
        "tokens of a block of the KV cache, in pairs with --decode-block-size; default: "
        "$PREFILL_BLOCK_SIZE, else 128"
    )
    decode_block_size: str = flag("as of prefill; default: $DECODE_BLOCK_SIZE, else 128")
    gpu_memory_utilization: str = flag(
        "share of each device's memory; default: $GPU_MEMORY_UTILIZATION, else 0.6"
    )
    connector: str = flag(
        "transfers the KV cache; default: NixlConnector, ExampleConnector for --device cpu, "
        "MooncakeConnectorV1 for --device ascend"
    )
    kv_buffer_device: str = flag(
        "cuda or cpu, where NixlConnector buffers the KV cache; default: $KV_BUFFER_DEVICE, else "
        "cuda"
    )
    flashinfer: bool = flag(
        "attention backend FlashInfer; default: whether $TEST_FLASHINFER is set", default=False
    )
    router: str = flag("vllm-router, or script for this project's own proxy", "vllm-router")
    prefill_base_port: str = flag(
        "port of the first prefill server; default: $PREFILL_BASE_PORT, else 8100"
    )
    decode_base_port: str = flag(
        "port of the first decode server; default: $DECODE_BASE_PORT, else 8200"
    )
    router_port: str = flag("port of the router; default: $ROUTER_PORT, else 8300")
    cluster: str = CLUSTER
    local: bool = LOCAL
    devices: int = DEVICES
    vllm: str = VLLM
    max_model_len: int = MAX_MODEL_LEN
    num_prompts: int = NUM_PROMPTS
