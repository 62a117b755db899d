"""Plan → what each of its hosts has to have: ports, accelerators, weights, environments. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.inventory.target import Target
    from ci.plan.model import Plan, Process

VISIBLE = {
    "cuda": ("CUDA_VISIBLE_DEVICES",),
    "ascend": ("ASCEND_RT_VISIBLE_DEVICES", "ASCEND_VISIBLE_DEVICES"),
}
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class Devices:
    """Which accelerators a host has to have.

    Attributes:
        kind: cuda or ascend; empty for none.
        count: how many the plan uses there.
        chosen: which ones, as `*_VISIBLE_DEVICES` counts; the first ones unless the case says.
        declared: how many the cluster file says that there are, None where it says nothing.
    """

    kind: str
    count: int
    chosen: tuple[int, ...]
    declared: int | None


def processes_on(plan: Plan, host: str) -> tuple[Process, ...]:
    """The plan's processes on a host."""
    return tuple(process for process in plan.everything if process.host == host)


def ports_of(process: Process) -> tuple[int, ...]:
    """Every port that a process listens on; a headless one has no API port."""
    return (*(() if process.headless else (process.port,)), *process.ports)


def ports_on(plan: Plan, host: str) -> tuple[int, ...]:
    """Every port that the plan's processes listen on there."""
    ports = {port for process in processes_on(plan, host) for port in ports_of(process)}
    return tuple(sorted(ports))


def devices_on(plan: Plan, host: str, target: Target | None, device: str) -> Devices:
    """Which accelerators the plan uses there.

    Args:
        plan: the plan.
        host: the host's name.
        target: what its cluster file says; None where there is none.
        device: the kind that the night serves on; empty takes the case's, then the file's.
    """
    said = target.accelerator if target else None
    kind = device or plan.case.device or (said.kind if said else "")
    if kind not in VISIBLE or not processes_on(plan, host):
        return Devices("", 0, (), None)
    named = sorted(
        {index for process in processes_on(plan, host) for index in _visible(process, kind)}
    )
    count = len(named) or plan.case.npu_per_node
    declared = said.count if said and said.kind == kind else None
    return Devices(kind, count, tuple(named) or tuple(range(count)), declared)


def weights_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Folders and hub names of models that have to be there already."""
    made = {item.path for item in plan.preparations if item.kind == "model"}
    made |= {item.name for item in plan.preparations if item.kind == "model"}
    named = {name for process in processes_on(plan, host) for name in _models(process)}
    return tuple(sorted(named - made))


def is_offline(plan: Plan, host: str) -> bool:
    """Whether nothing will be fetched from a hub there."""
    return any(
        process.env.get(name, "0") not in {"", "0"}
        for process in processes_on(plan, host)
        for name in OFFLINE
    )


def environment_of(process: Process, workspace: str) -> str | None:
    """Name the environment of ours that a process runs from; None for the host's own."""
    root = f"{workspace}/envs/"
    program = process.argv[0]
    return program.removeprefix(root).split("/")[0] if program.startswith(root) else None


def _visible(process: Process, kind: str) -> Iterator[int]:
    for name in VISIBLE[kind]:
        words = process.env.get(name, "").split(",")
        if all(word.strip().isdecimal() for word in words):
            yield from map(int, words)


def _models(process: Process) -> Iterator[str]:
    """The model of a `vllm serve MODEL` or of `--model MODEL`."""
    words = process.argv
    for at, word in enumerate(words):
        following = words[at + 1] if at + 1 < len(words) else ""
        if word.startswith("--model="):
            yield word.removeprefix("--model=")
        elif word in {"serve", "--model"} and following and not following.startswith("-"):
            yield following
