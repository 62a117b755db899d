"""A host's accelerators × what the plan uses of them → findings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.doctor.model import Finding
from ci.doctor.wording import describe_holder, how_to_stop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts, Severity
    from ci.doctor.needs import Devices

TOOLS = {"cuda": "nvidia-smi", "ascend": "npu-smi"}
WORDS = {"cuda": "GPU", "ascend": "NPU"}
# An idle 910B4 of 32 GiB shows 9 % of its memory in use.
MAX_IDLE_SHARE = 0.15


def accelerator_findings(
    host: str, facts: Facts, needed: Devices, *, here: bool = False
) -> Iterator[Finding]:
    """Check that one host has enough accelerators, and that they are healthy and idle.

    Args:
        host: the host's name.
        facts: the facts gathered on it.
        needed: the accelerators that the plan uses there.
        here: whether the host is this machine, which serves on its CPU if it has nothing else.
    """
    if not needed.kind:
        if needed.count and not facts.get("accelerators"):
            yield _none(host, needed.count, "warning" if here else "error")
        return
    tool, word = TOOLS[needed.kind], WORDS[needed.kind]
    devices = [
        device for device in facts.get("accelerators") or () if device["kind"] == needed.kind
    ]
    error = facts.get("errors", {}).get(needed.kind)
    if error:
        message = f"{tool} failed: {error}"
        yield Finding(host, "accelerators", "error", message, f"run `{tool}` on the host")
        return
    yield from _count(host, len(devices), needed, f"{tool} shows", word)
    for device in devices:
        chosen = not needed.count or device["index"] in needed.chosen
        yield from _health(host, device, needed=chosen)
        yield from _use(host, device, needed=chosen)


def _none(host: str, count: int, severity: Severity) -> Finding:
    return Finding(
        host,
        "accelerators",
        severity,
        f"neither nvidia-smi nor npu-smi shows a device, and the case has `npu_per_node: {count}`",
        "for the CPU write `npu_per_node: 0`, or give `--device cpu`; else check that the driver "
        "is loaded, or use another host",
    )


def _count(host: str, have: int, needed: Devices, shows: str, word: str) -> Iterator[Finding]:
    most = max(needed.chosen, default=-1) + 1
    enough = max(needed.count, most, 1)
    advice = "check that the driver is loaded, or use another host"
    if have < enough:
        message = f"{shows} {have} {word}s, the plan uses {needed.count or 1}"
        if most > needed.count:
            message += f", up to number {most - 1}"
        yield Finding(host, "accelerators", "error", message, advice)
    elif needed.declared is not None and have != needed.declared:
        message = f"{shows} {have} {word}s, the cluster file declares {needed.declared}"
        yield Finding(
            host, "accelerators", "warning", message, "repair the host, or correct the file"
        )


def _health(host: str, device: dict[str, Any], *, needed: bool) -> Iterator[Finding]:
    health = device.get("health", "OK")
    if health != "OK":
        yield Finding(
            host,
            device["label"],
            "error" if needed else "warning",
            f"npu-smi reports health {health}, expected OK",
            "see `npu-smi info -t health`, or use another host",
        )


def _use(host: str, device: dict[str, Any], *, needed: bool) -> Iterator[Finding]:
    used, total = device["memory_used_mb"], device["memory_total_mb"]
    holders = device["processes"]
    full = bool(total) and (used or 0) > MAX_IDLE_SHARE * total
    if not holders and not full:
        return
    who = "; ".join(describe_holder(holder) for holder in holders) or "no process is listed for it"
    from_run: dict[str, Any] = next((holder for holder in holders if holder.get("run")), {})
    yield Finding(
        host,
        device["label"],
        "error" if needed else "info",
        f"in use: {used if used is not None else '?'} of {total or '?'} MiB; {who}",
        how_to_stop(from_run, "wait, ask its owner, or choose others with *_VISIBLE_DEVICES"),
    )
