"""Write a commented case for given hosts. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ci.case.convert.converted import scalar

_PORT, _RPC_PORT = 8000, 13345


@dataclass(frozen=True)
class Wanted:
    """What a new case serves, and where.

    Attributes:
        model: name on a hub, or folder on the hosts.
        hosts: number of hosts.
        devices: devices of each host; 0 for CPU.
        device: cpu, cuda or ascend.
        vllm: version to install; empty for the hosts' own vLLM.
        max_model_len: tokens of prompt and answer.
        title: `test_name`.
    """

    model: str
    hosts: int
    devices: int
    device: str
    vllm: str
    max_model_len: int
    title: str


def text_of(wanted: Wanted) -> str:
    """Write the case: one server over all hosts, an accuracy and a performance benchmark."""
    lines = [*_top(wanted), "deployment:"]
    for index in range(wanted.hosts):
        lines += _server(wanted, index)
    return "".join(f"{line}\n" for line in [*lines, *_benchmarks(wanted)])


def _top(wanted: Wanted) -> list[str]:
    version = (
        f"vllm: {wanted.vllm}  # a night installs it; `inv versions` lists the others"
        if wanted.vllm
        else "# vllm: 0.32.0  # without it, the vLLM that the hosts have is used"
    )
    return [
        "# Made by `inv case.new`. All keys: docs/cases.md. Next: `inv check`, then `inv plan`.",
        f"test_name: {scalar(wanted.title)}",
        f"model: {scalar(wanted.model)}  # a name on a hub, or a folder on the hosts",
        version,
        f"device: {wanted.device}",
        f"num_nodes: {wanted.hosts}",
        f"npu_per_node: {wanted.devices}  # devices of each host, of any kind",
        "ready_timeout_s: 2800  # loading and compiling a large model takes long",
    ]


def _server(wanted: Wanted, index: int) -> list[str]:
    words = ["vllm serve $MODEL"]
    words += ["--headless"] if index else [f"--port {_PORT}"]
    if wanted.devices > 1:
        words.append(f"--tensor-parallel-size {wanted.devices}")
    if wanted.hosts > 1:
        words += [f"--data-parallel-size {wanted.hosts}", "--data-parallel-size-local 1"]
        words += [f"--data-parallel-start-rank {index}"] if index else []
        words += ["--data-parallel-address $MASTER_IP", f"--data-parallel-rpc-port {_RPC_PORT}"]
    words.append(f"--max-model-len {wanted.max_model_len}")
    own = "  # one rank of data parallelism on each host; this one answers requests"
    return [
        f"  - server_cmd: >-{'' if index or wanted.hosts == 1 else own}",
        *(f"      {word}" for word in words),
    ]


def _benchmarks(wanted: Wanted) -> list[str]:
    answer = max(1, wanted.max_model_len // 2)
    return [
        "benchmarks:",
        "  # Every valid figure passes until there are a `baseline`, that of good nights,",
        "  # and a `threshold`, how far below it still passes: percentage points, or a factor.",
        "  accuracy:",
        "    case_type: accuracy",
        "    dataset_path: gsm8k",
        "    num_prompts: 200  # of 1319; leave it out for all",
        f"    max_out_len: {min(1024, answer)}",
        "    batch_size: 32",
        "  performance:",
        "    case_type: performance",
        "    dataset_path: gsm8k",
        "    num_prompts: 200",
        f"    max_out_len: {min(512, answer)}",
        "    batch_size: 32  # requests at once",
    ]
