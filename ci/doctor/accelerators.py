"""A host's accelerators × what the plan uses of them → findings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.doctor.model import Finding
from ci.doctor.wording import owner, way_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts
    from ci.doctor.needs import Devices

TOOLS = {"cuda": "nvidia-smi", "ascend": "npu-smi"}
WORDS = {"cuda": "GPU", "ascend": "NPU"}
# An idle 910B4 of 32 GiB shows 9 % of its memory in use.
IDLE_SHARE = 0.15


def check(host: str, facts: Facts, needed: Devices) -> Iterator[Finding]:
    """Judge one host's accelerators: there, enough, healthy and idle.

    Args:
        host: its name.
        facts: as gathered.
        needed: what the plan uses there.
    """
    if not needed.kind:
        return
    tool, word = TOOLS[needed.kind], WORDS[needed.kind]
    here = [one for one in facts.get("accelerators") or () if one["kind"] == needed.kind]
    broken = facts.get("errors", {}).get(needed.kind)
    if broken:
        message = f"{tool} does not tell what is here: {broken}"
        yield Finding(host, "accelerators", "error", message, f"run `{tool}` on the host")
        return
    yield from _count(host, len(here), needed, f"{tool} shows", word)
    for one in here:
        chosen = not needed.count or one["index"] in needed.chosen
        yield from _health(host, one, needed=chosen)
        yield from _use(host, one, needed=chosen)


def _count(host: str, have: int, needed: Devices, shows: str, word: str) -> Iterator[Finding]:
    most = max(needed.chosen, default=-1) + 1
    enough = max(needed.count, most, 1)
    advice = "see that the driver is loaded, or take another host"
    if have < enough:
        message = f"{shows} {have} {word}s, the plan uses {needed.count or 1}"
        if most > needed.count:
            message += f", up to number {most - 1}"
        yield Finding(host, "accelerators", "error", message, advice)
    elif needed.declared is not None and have != needed.declared:
        message = f"{shows} {have} {word}s, the cluster file says {needed.declared}"
        yield Finding(host, "accelerators", "warning", message, "mend the host, or the file")


def _health(host: str, one: dict[str, Any], *, needed: bool) -> Iterator[Finding]:
    health = one.get("health", "OK")
    if health != "OK":
        yield Finding(
            host,
            one["label"],
            "error" if needed else "warning",
            f"npu-smi says of its health: {health}",
            "see `npu-smi info -t health`, or take another host",
        )


def _use(host: str, one: dict[str, Any], *, needed: bool) -> Iterator[Finding]:
    used, total, holders = one["memory_used_mb"], one["memory_total_mb"], one["processes"]
    full = bool(total) and (used or 0) > IDLE_SHARE * total
    if not holders and not full:
        return
    who = "; ".join(owner(holder) for holder in holders) or "no process is shown for it"
    ours: dict[str, Any] = next((one for one in holders if one.get("run")), {})
    yield Finding(
        host,
        one["label"],
        "error" if needed else "info",
        f"in use: {used if used is not None else '?'} of {total or '?'} MiB; {who}",
        way_out(ours, "wait for it, ask its owner, or choose others with *_VISIBLE_DEVICES"),
    )
