"""Wait until the ports, the memory and the devices that a run used are free again."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from ci.agent.answers import Answer
from ci.agent.ask_all import gather
from ci.doctor.accelerators import MAX_IDLE_SHARE, TOOLS
from ci.doctor.needs import devices_on, ports_on
from ci.doctor.wording import describe_holder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from concurrent.futures import Future

    from ci.agent.client import Agent
    from ci.doctor.model import Facts
    from ci.doctor.needs import Devices
    from ci.errors import LamplighterError
    from ci.inventory.target import Target
    from ci.plan.model import Plan

# A driver frees the memory of a large process some seconds after its end.
WAIT_S = 20.0
EVERY_S = 0.5
FACTS_S = 30.0
FACTS = ("user", "listening", "ports_taken", "accelerators", "shared_files")
SHARED = "/dev/shm"  # noqa: S108 - for messages


def await_left_over(
    agents: Mapping[str, Agent],
    plan: Plan,
    targets: Mapping[str, Target],
    device: str,
    before: Mapping[str, Facts],
) -> list[str]:
    """Wait until the run's ports, shared memory and device memory are free again.

    Args:
        agents: host → agent; hosts without a connection are left out.
        plan: the plan that has run.
        targets: host → its entry in the cluster file.
        device: the device kind that the night served on.
        before: host → its facts before the night; what was in use then is not the run's.

    Returns:
        One line for each thing that is still in use after `WAIT_S`, with its owner.
    """
    deadline = time.monotonic() + WAIT_S
    while True:
        left: list[str] = []
        for host, answer in _facts(agents, plan, before).items():
            if not isinstance(answer, Answer):
                left.append(f"{host}: its ports, memory and devices were not verified: {answer}")
            elif host in before:
                needed = devices_on(plan, host, targets.get(host), device, before[host])
                ports = ports_on(plan, host)
                lines = left_on(answer.value, before[host], ports, needed)
                left += [f"{host}: {line}" for line in lines]
        if not left or time.monotonic() >= deadline:
            return left
        time.sleep(EVERY_S)


def _facts(
    agents: Mapping[str, Agent], plan: Plan, before: Mapping[str, Facts]
) -> dict[str, Answer | LamplighterError]:
    asked = {host: agent for host, agent in agents.items() if not agent.trouble}
    every = sorted({port for host in asked for port in ports_on(plan, host)})
    asking: list[tuple[str, Agent, str, Future[Answer]]] = []
    for host, agent in asked.items():
        known = list(before.get(host, {}).get("shared_files") or ())
        future = agent.ask("facts", ports=every, shared=known, only=FACTS)
        asking.append((host, agent, "facts", future))
    return gather(asking, FACTS_S)


def left_on(after: Facts, before: Facts, ports: tuple[int, ...], needed: Devices) -> Iterator[str]:
    """Compare the facts of a host with those before the night. Pure.

    Args:
        after: the facts now.
        before: the facts before the night.
        ports: the ports of the run on this host.
        needed: the accelerators of the run on this host.
    """
    known = before.get("ports_taken") or {}
    for port, holder in (after.get("ports_taken") or {}).items():
        if int(port) in ports and port not in known and holder:
            yield f"port {port} is still in use by {describe_holder(holder)}"
    shared = before.get("shared_files")
    for name, size in sorted((after.get("shared_files") or {}).items()):
        if shared is not None and name not in shared:
            user = after.get("user") or "this user"
            yield f"{SHARED}/{name} of {user} is still there ({size / 2**20:.0f} MiB)"
    if needed.kind:
        yield from _devices(after, before, needed)


def _devices(after: Facts, before: Facts, needed: Devices) -> Iterator[str]:
    if error := after.get("errors", {}).get(needed.kind):
        yield f"{TOOLS[needed.kind]} failed, so the devices' memory is not verified: {error}"
        return
    devices = before.get("accelerators") or ()
    earlier = {(device["kind"], device["index"]): device for device in devices}
    for device in after.get("accelerators") or ():
        kind, index = device["kind"], device["index"]
        ours = kind == needed.kind and (not needed.count or index in needed.chosen)
        if ours and (left := _left_of(device, earlier.get((kind, index), {}))):
            yield f"{device['label']}: {left}"


def _left_of(device: dict[str, Any], before: dict[str, Any]) -> str:
    """Describe who still uses a device that was idle, or less full, before the night."""
    known = {holder["pid"] for holder in before.get("processes") or ()}
    holders = [holder for holder in device["processes"] if holder["pid"] not in known]
    used, total = device["memory_used_mb"] or 0, device["memory_total_mb"] or 0
    idle = max(MAX_IDLE_SHARE * total, before.get("memory_used_mb") or 0)
    if not holders and used <= idle:
        return ""
    who = "; ".join(map(describe_holder, holders)) or "no new process is listed for it"
    return f"{used} of {total or '?'} MiB are still in use: {who}"
