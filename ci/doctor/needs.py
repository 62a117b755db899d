"""Plan → what each of its hosts has to have: ports, accelerators, weights, environments. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.vllm.command_line import model_of
from ci.vllm.devices import VISIBLE, indices, visible

if TYPE_CHECKING:
    from ci.inventory.target import Target
    from ci.plan.model import Plan, PlannedProcess

OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


@dataclass(frozen=True)
class Devices:
    """Which accelerators a host has to have.

    Attributes:
        kind: cuda or ascend; empty for none.
        count: how many the plan uses there.
        chosen: which ones, as `*_VISIBLE_DEVICES` counts; the first ones unless the case says.
            Those that it names by UUID are not among them.
        declared: how many the cluster file says that there are, None where it says nothing.
    """

    kind: str
    count: int
    chosen: tuple[int, ...]
    declared: int | None


def processes_on(plan: Plan, host: str) -> tuple[PlannedProcess, ...]:
    """The plan's processes on a host."""
    return tuple(process for process in plan.processes if process.host == host)


def ports_of(process: PlannedProcess) -> tuple[int, ...]:
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
    shown = [visible(process.env, kind) for process in plan.servers if process.host == host]
    named = {device for devices in shown for device in devices or ()}
    if shown and not named and None not in shown:
        return Devices("", 0, (), None)  # every server is shown that there is none
    count = len(named) or plan.case.npu_per_node
    declared = said.count if said and said.kind == kind else None
    chosen = tuple(sorted(indices(tuple(named)))) if named else tuple(range(count))
    return Devices(kind, count, chosen, declared)


def weights_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Folders and hub names of models that have to be there already."""
    made = {item.path for item in plan.preparations if item.kind == "model"}
    made |= {item.name for item in plan.preparations if item.kind == "model"}
    named = {model_of(process.argv) for process in processes_on(plan, host)}
    return tuple(sorted(name for name in named if name and name not in made))


def is_offline(plan: Plan, host: str) -> bool:
    """Whether nothing will be fetched from a hub there."""
    return any(
        process.env.get(name, "0") not in {"", "0"}
        for process in processes_on(plan, host)
        for name in OFFLINE
    )


def environment_of(process: PlannedProcess, workspace: str) -> str | None:
    """Name the environment of ours that a process runs from; None for the host's own."""
    root = f"{workspace}/envs/"
    program = process.argv[0]
    return program.removeprefix(root).split("/")[0] if program.startswith(root) else None
