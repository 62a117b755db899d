"""Facts of hosts × plan → findings, for each host by itself. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor import accelerators, compare, network, packages
from ci.doctor.model import Finding
from ci.doctor.needs import (
    devices_on,
    is_offline,
    ports_of,
    ports_on,
    processes_on,
    weights_on,
)
from ci.doctor.wording import gib, names, owner, way_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Facts, Packages, Pair
    from ci.inventory.target import Target
    from ci.plan.model import Host, Plan

OLDEST_PYTHON = (3, 8)
CLOCK_WARNING_S = 1.0
CLOCK_ERROR_S = 30.0
ENVIRONMENT_BYTES = 5 * 2**30
LEAST_DISK_BYTES = 512 * 2**20
LEAST_SHM_BYTES = 2**30
LEAST_MEMORY_BYTES = 2 * 2**30
SCARCE = 0.1  # of a disk
_ORDER = ("error", "warning", "info")


def check(  # noqa: PLR0913 - what was seen and what is needed, each a thing of its own
    plan: Plan,
    facts: Mapping[str, Facts],
    *,
    silent: Mapping[str, str],
    pairs: Sequence[Pair],
    targets: Mapping[str, Target],
    device: str = "",
    run: str = "",
    installed: Mapping[str, Packages] | None = None,
) -> tuple[Finding, ...]:
    """Judge whether the hosts are fit for a plan.

    Args:
        plan: what is to run on them.
        facts: host → what `ci.remote.facts.facts.gather` gave, with `clock_offset_s` (how far
            its clock is ahead of the controller's) and `clock_uncertainty_s`.
        silent: host → why it could not be asked.
        pairs: what came of connecting between hosts.
        targets: host → its cluster file's entry, where there is one.
        device: the kind of machine that the night serves on; empty where that is not known.
        run: which one asks, and may be on the hosts; empty for none.
        installed: host → environment that is there already → what is in it.

    Returns:
        The findings: errors first, then warnings; among equals in host order.
    """
    found = [
        Finding(
            host,
            "connection",
            "error",
            message.removeprefix(f"{host}: "),
            "mend that, then run `inv doctor` again",
        )
        for host, message in silent.items()
    ]
    for host in _hosts(plan):
        if host.name in facts:
            found += _one(plan, host, facts[host.name])
            found += _runs(host.name, facts[host.name], run)
            needed = devices_on(plan, host.name, targets.get(host.name), device)
            found += accelerators.check(host.name, facts[host.name], needed)
    found += compare.check(plan, facts, pairs)
    found += packages.differences(installed or {})
    return tuple(sorted(found, key=lambda finding: _ORDER.index(finding.severity)))


def _hosts(plan: Plan) -> list[Host]:
    return list({host.name: host for host in plan.hosts}.values())


def _one(plan: Plan, host: Host, facts: Facts) -> Iterator[Finding]:
    yield from _python(host.name, facts)
    yield from _clock(host.name, facts)
    yield from network.check(host, facts)
    yield from _ports(plan, host.name, facts)
    yield from _disk(plan, host.name, facts)
    yield from _memory(host.name, facts)
    yield from _program(plan, host, facts)
    yield from _weights(plan, host.name, facts)
    for name, why in facts.get("errors", {}).items():
        if name not in {"cuda", "ascend"}:
            yield Finding(host.name, name, "warning", f"cannot be told: {why}", "look on the host")


def _python(host: str, facts: Facts) -> Iterator[Finding]:
    version = facts.get("python") or "0"
    if tuple(map(int, version.split(".")[:2])) < OLDEST_PYTHON:
        yield Finding(
            host,
            "python",
            "error",
            f"its python3 is {version}",
            "install Python 3.8 or later, or name one with `python:` in the cluster file",
        )


def _clock(host: str, facts: Facts) -> Iterator[Finding]:
    offset_s = facts.get("clock_offset_s") or 0.0
    surely_s = abs(offset_s) - (facts.get("clock_uncertainty_s") or 0.0)
    if surely_s > CLOCK_WARNING_S:
        yield Finding(
            host,
            "clock",
            "error" if surely_s > CLOCK_ERROR_S else "warning",
            f"its clock is {abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} the "
            "controller's",
            "let NTP set it: `timedatectl set-ntp true`, or `chronyc makestep`",
        )


def _runs(host: str, facts: Facts, ours: str) -> Iterator[Finding]:
    """Another run has another workspace there, or this one could not have taken the host."""
    for one in facts.get("runs") or ():
        if one["run"] != ours:
            yield Finding(
                host,
                "run",
                "error",
                f"run {one['run']} of {one['owner'] or 'somebody'} is on it",
                "two spoil each other's figures: wait for its end, or end it with "
                f"`inv down --run {one['run']}`",
            )


def _ports(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    taken = facts.get("ports_taken") or {}
    for port in ports_on(plan, host):
        holder = taken.get(str(port))
        if not holder:
            continue
        users = [one.name for one in processes_on(plan, host) if port in ports_of(one)]
        yield Finding(
            host,
            f"port {port}",
            "error",
            f"{names(users)} needs it, and {owner(holder)} listens on it",
            way_out(holder, "stop it there, or give the case another port"),
        )


def _disk(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    free, total = facts.get("disk_free_bytes"), facts.get("disk_total_bytes")
    if free is None or not total:
        return
    stamps = facts.get("environments") or {}
    to_make = [
        item.name
        for item in plan.preparations
        if (item.host, item.kind) == (host, "environment")
        and stamps.get(item.path.rsplit("/", 1)[-1], {}).get("fingerprint") != item.fingerprint
    ]
    left = f"{gib(free)} of {gib(total)} are free under the workspace"
    advice = "make room there, or set another `workspace:`"
    if to_make and free < ENVIRONMENT_BYTES:
        message = f"{left}, and {names(to_make)} has to be made: {gib(ENVIRONMENT_BYTES)}"
        yield Finding(host, "disk", "error", message, advice)
    elif free < LEAST_DISK_BYTES:
        yield Finding(host, "disk", "error", f"{left}: logs would not fit", advice)
    elif free < SCARCE * total:
        yield Finding(host, "disk", "warning", left, advice)


def _memory(host: str, facts: Facts) -> Iterator[Finding]:
    shm, free = facts.get("shm_free_bytes"), facts.get("memory_free_bytes")
    if shm is not None and shm < LEAST_SHM_BYTES:
        yield Finding(
            host,
            "/dev/shm",  # noqa: S108 - named, not used
            "warning",
            f"{gib(shm)} are free there; vLLM's processes talk through it when there are several",
            "remount it larger: `mount -o remount,size=16G /dev/shm`; in Docker `--shm-size`",
        )
    if free is not None and free < LEAST_MEMORY_BYTES:
        message = f"{gib(free)} of {gib(facts.get('memory_bytes') or 0)} are free"
        yield Finding(host, "memory", "warning", message, "see what holds it: `ps aux --sort -rss`")


def _program(plan: Plan, host: Host, facts: Facts) -> Iterator[Finding]:
    wants = [
        process.name
        for process in processes_on(plan, host.name)
        if process.argv[0] == "vllm" and "PATH" not in process.env
    ]
    if wants and not facts.get("vllm") and "vllm" not in facts.get("errors", {}):
        yield Finding(
            host.name,
            "vllm",
            "error",
            f"{names(wants)} starts `vllm`, and there is none on the PATH of an SSH command",
            "choose a version with --vllm, or set PATH in the case's `envs`",
        )


def _weights(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    for path in weights_on(plan, host):
        seen = (facts.get("weights") or {}).get(path)
        if seen is None:
            continue
        sync = f"copy them with `inv weights.sync --source {path}`"
        if not seen["exists"] and (path.startswith("/") or is_offline(plan, host)):
            yield Finding(host, "weights", "error", f"{path} is not here", sync)
        elif not seen["exists"]:
            message = f"{path} is not here: vLLM will fetch it from the hub"
            yield Finding(host, "weights", "warning", message, "fetch it before the night")
        elif seen["missing"]:
            message = f"{path} is not whole: {names(seen['missing'])} missing"
            yield Finding(host, "weights", "error", message, sync)
        elif not seen["has_config"]:
            message = f"{path} has no config.json: that is no model folder"
            yield Finding(host, "weights", "error", message, "name the folder that holds it")
