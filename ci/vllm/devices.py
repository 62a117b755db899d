"""How many devices a server computes on, and which ones it is shown. Pure."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from ci.vllm.command_line import nodes, number, option, parallel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Short name → option: what one data-parallel rank is spread over, besides its devices.
SIZES = {
    "tp": "--tensor-parallel-size",
    "pp": "--pipeline-parallel-size",
    "pcp": "--prefill-context-parallel-size",
}
# Kind of machine → the variable that shows a process its devices. ASCEND_VISIBLE_DEVICES does not:
# it tells a container runtime which devices to mount.
VISIBLE = {"ascend": "ASCEND_RT_VISIBLE_DEVICES", "cuda": "CUDA_VISIBLE_DEVICES"}
# An index, or a UUID as `nvidia-smi -L` shows it, which may be cut short.
# https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
_DEVICE = re.compile(r"[0-9]{1,4}|(?:GPU|MIG)-[0-9A-Za-z][0-9A-Za-z/-]*")


def visible(env: Mapping[str, str], kind: str = "") -> tuple[str, ...] | None:
    """The devices that a process is shown: indices or UUIDs, in its own order, each once.

    As the drivers read it, the list ends before what is no device: `-1`, `NoDevFiles` and an empty
    text show none at all, and `0,-1,1` shows the first.

    Args:
        env: of the process.
        kind: of machine; any other word takes the first variable of all kinds.

    Returns:
        None where nothing is said, so that it sees all.
    """
    names = [VISIBLE[kind]] if kind in VISIBLE else VISIBLE.values()
    said = next((env[name] for name in names if name in env), None)
    return None if said is None else _listed(said)


def _listed(text: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for word in map(str.strip, text.split(",")):
        if not _DEVICE.fullmatch(word):
            break
        found[str(int(word)) if word.isdecimal() else word] = None
    return tuple(found)


def indices(devices: Sequence[str]) -> tuple[int, ...]:
    """Those of some devices that are named by their index."""
    return tuple(int(device) for device in devices if device.isdecimal())


def size(argv: Sequence[str], name: str) -> int:
    """A parallel size; 1 where the command line names none.

    Args:
        argv: of a server.
        name: one of SIZES.
    """
    return number(argv, SIZES[name]) or 1


def devices_of(argv: Sequence[str]) -> int:
    """How many devices of its host a server computes on, where Ray does not spread it.

    With `--nnodes`, vLLM divides all ranks of all sizes among the nodes.
    """
    share = parallel(argv)
    ranks = share.local if share else number(argv, "--data-parallel-size") or 1
    return -(-prod(size(argv, name) for name in SIZES) * max(ranks, 1) // nodes(argv))


def uses_ray(argv: Sequence[str]) -> bool:
    """Whether Ray decides where a server's ranks compute."""
    backends = ("--distributed-executor-backend", "--data-parallel-backend")
    return "ray" in {option(argv, name) for name in backends}
