"""List what a plan needs on each host: ports, accelerators, weights, environments. Pure."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.plan.tokenizers import tokenizers_of
from ci.vllm.devices import VISIBLE, indices, visible
from ci.vllm.model_source import model_source

if TYPE_CHECKING:
    from ci.doctor.model import Facts
    from ci.inventory.target import Target
    from ci.plan.model import Plan, PlannedProcess
    from ci.vllm.model_source import ModelSource


@dataclass(frozen=True)
class Devices:
    """The accelerators that a plan needs on a host.

    Attributes:
        kind: cuda or ascend; empty for none, or if it is unknown.
        count: how many the plan uses there; with an unknown kind, how many the case asks for.
        chosen: their indices, as in `*_VISIBLE_DEVICES`; the first ones unless the case chooses.
            Devices that the case names by UUID are not included.
        declared: the number in the cluster file; None if it gives none.
    """

    kind: str
    count: int
    chosen: tuple[int, ...]
    declared: int | None


def processes_on(plan: Plan, host: str) -> tuple[PlannedProcess, ...]:
    """Return the plan's processes on a host."""
    return tuple(process for process in plan.processes if process.host == host)


def ports_of(process: PlannedProcess) -> tuple[int, ...]:
    """Return every port that a process listens on; a headless server has no API port."""
    return (*(() if process.headless else (process.port,)), *process.ports)


def ports_on(plan: Plan, host: str) -> tuple[int, ...]:
    """Return every port that the plan's processes listen on at a host, sorted."""
    ports = {port for process in processes_on(plan, host) for port in ports_of(process)}
    return tuple(sorted(ports))


def devices_on(plan: Plan, host: str, target: Target | None, device: str, facts: Facts) -> Devices:
    """Return the accelerators that the plan uses on a host.

    Args:
        plan: the plan.
        host: the host's name.
        target: the host's entry in the cluster file; None if it has none.
        device: the device kind that the night serves on; empty takes the case's, then the cluster
            file's, then the kind that the host has.
        facts: the facts gathered on the host.
    """
    declared = target.accelerator if target else None
    kind = device or plan.case.device or (declared.kind if declared else "")
    unknown = not kind and plan.case.npu_per_node > 0
    if unknown:
        kind = _only_kind(facts)
    if (kind not in VISIBLE and not unknown) or not processes_on(plan, host):
        return Devices("", 0, (), None)
    shown = [visible(process.env, kind) for process in plan.servers if process.host == host]
    named = {device for devices in shown for device in devices or ()}
    if shown and not named and None not in shown:
        return Devices("", 0, (), None)  # every server has an empty list of visible devices
    count = len(named) or plan.case.npu_per_node
    declared_count = declared.count if declared and declared.kind == kind else None
    chosen = tuple(sorted(indices(tuple(named)))) if named else tuple(range(count))
    return Devices(kind, count, chosen, declared_count)


def _only_kind(facts: Facts) -> str:
    """Return the kind of accelerator of a host, also if its tool failed; empty if not one kind."""
    found = {device["kind"] for device in facts.get("accelerators") or ()}
    found |= {kind for kind in VISIBLE if kind in (facts.get("errors") or {})}
    return found.pop() if len(found) == 1 else ""


def weights_on(plan: Plan, host: str) -> tuple[ModelSource, ...]:
    """Return the models that must exist on a host before the servers start, each once."""
    made = {item.path for item in plan.preparations if item.kind == "model"}
    made |= {item.name for item in plan.preparations if item.kind == "model"}
    sources: dict[str, ModelSource] = {}
    for process in processes_on(plan, host):
        source = model_source(process.argv, process.env, process.cwd or "")
        if source and source.name not in made:
            sources.setdefault(source.key, source)
    return tuple(sources[key] for key in sorted(sources))


def tokenizers_on(plan: Plan, host: str) -> dict[str, tuple[ModelSource, tuple[str, ...]]]:
    """Return the tokenizers of the tools that must exist on a host: key → source, benchmarks."""
    return tokenizers_of(plan) if host == plan.leader else {}


def models_on(plan: Plan, host: str) -> dict[str, dict[str, Any]]:
    """Return which models and tokenizers a host has to look for: key → request."""
    tokenizers = tokenizers_on(plan, host)
    located = {key: source.request(contents=False) for key, (source, _) in tokenizers.items()}
    return located | {source.key: source.request() for source in weights_on(plan, host)}


def scripts_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Return the paths of the environment scripts of a host, in order."""
    entries = [entry for process in processes_on(plan, host) for entry in process.env_script]
    return tuple(dict.fromkeys(shlex.split(entry)[0] for entry in entries))


def temporary_folders_on(plan: Plan, host: str) -> tuple[str, ...]:
    """Return the temporary folders that the case itself gives to processes on a host."""
    named = {process.env.get("TMPDIR", "") for process in processes_on(plan, host)}
    return tuple(sorted(folder for folder in named if folder.startswith("/")))


def environment_of(process: PlannedProcess, workspace: str) -> str | None:
    """Return the name of our environment that a process runs from; None for the host's own."""
    root = f"{workspace}/envs/"
    program = process.argv[0]
    return program.removeprefix(root).split("/")[0] if program.startswith(root) else None
