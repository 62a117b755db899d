"""Find the number of devices of a server, and its visible devices. Pure."""

from __future__ import annotations

import re
from math import prod
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.vllm.command_line import nodes, number, option, parallel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Short name → option: the parallel sizes of one data-parallel rank.
SIZES = {
    "tp": "--tensor-parallel-size",
    "pp": "--pipeline-parallel-size",
    "pcp": "--prefill-context-parallel-size",
}
# Option → its smallest value; the largest is MAX_RANKS, as in external_dp.
_SMALLEST = {
    **dict.fromkeys(SIZES.values(), 1),
    "--decode-context-parallel-size": 1,
    "--data-parallel-size": 1,
    "--data-parallel-size-local": 0,
    "--data-parallel-start-rank": 0,
    "--data-parallel-rank": 0,
    "--nnodes": 1,
    "--node-rank": 0,
}
MAX_RANKS = 1024
# Kind of device → the variable with a process's visible devices. ASCEND_VISIBLE_DEVICES is for the
# container runtime: it selects the devices to mount.
VISIBLE = {"ascend": "ASCEND_RT_VISIBLE_DEVICES", "cuda": "CUDA_VISIBLE_DEVICES"}
# An index, or a UUID as `nvidia-smi -L` shows it, which may be cut short.
# https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars
_DEVICE = re.compile(r"[0-9]{1,4}|(?:GPU|MIG)-[0-9A-Za-z][0-9A-Za-z/-]*")


def visible(env: Mapping[str, str], kind: str = "") -> tuple[str, ...] | None:
    """Return a process's visible devices: indices or UUIDs, in the order of the list, each once.

    As in the drivers, the list ends before the first entry that is not a device: `-1`,
    `NoDevFiles` and an empty text show no device, and `0,-1,1` shows only device 0.

    Args:
        env: the process's environment.
        kind: kind of device; any other text to use the first variable that is set.

    Returns:
        None if no variable is set, so that all devices are visible.
    """
    names = [VISIBLE[kind]] if kind in VISIBLE else VISIBLE.values()
    text = next((env[name] for name in names if name in env), None)
    return None if text is None else _listed(text)


def _listed(text: str) -> tuple[str, ...]:
    devices: dict[str, None] = {}
    for word in map(str.strip, text.split(",")):
        if not _DEVICE.fullmatch(word):
            break
        devices[str(int(word)) if word.isdecimal() else word] = None
    return tuple(devices)


def indices(devices: Sequence[str]) -> tuple[int, ...]:
    """Return the devices that are indices, as numbers."""
    return tuple(int(device) for device in devices if device.isdecimal())


def size(argv: Sequence[str], name: str) -> int:
    """Return a parallel size; 1 if the command line has none.

    Args:
        argv: a server's command line.
        name: a key of SIZES.
    """
    return number(argv, SIZES[name]) or 1


def devices_of(argv: Sequence[str]) -> int:
    """Return the number of devices of its host that a server needs, without Ray.

    With `--nnodes`, vLLM divides the devices of all ranks among the nodes.
    """
    share = parallel(argv)
    ranks = share.local if share else number(argv, "--data-parallel-size") or 1
    return -(-prod(size(argv, name) for name in SIZES) * max(ranks, 1) // nodes(argv))


def require_sizes(argv: Sequence[str], location: str) -> None:
    """Check the parallel sizes and ranks of a command line.

    Args:
        argv: a server's command line.
        location: file and key path, for the error.

    Raises:
        UserError: a value is not a whole number, or is too small or too large.
    """
    for name, smallest in _SMALLEST.items():
        text, value = option(argv, name), number(argv, name)
        if text is not None and (value is None or not smallest <= value <= MAX_RANKS):
            raise UserError(
                f"{location}: {name}: expected {smallest} to {MAX_RANKS}, got {text[:20]!r}"
            )


def uses_ray(argv: Sequence[str]) -> bool:
    """Return whether Ray places a server's ranks."""
    backends = ("--distributed-executor-backend", "--data-parallel-backend")
    return "ray" in {option(argv, name) for name in backends}
