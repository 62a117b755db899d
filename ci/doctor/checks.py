"""Compare the facts of hosts with a plan and return findings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.accelerators import accelerator_findings
from ci.doctor.compare import differences_between_hosts
from ci.doctor.datasets import dataset_findings
from ci.doctor.limits import limit_findings
from ci.doctor.model import ORDER, Finding
from ci.doctor.needs import (
    devices_on,
    ports_of,
    ports_on,
    processes_on,
)
from ci.doctor.network import network_findings
from ci.doctor.occupants import run_findings
from ci.doctor.packages import differences
from ci.doctor.places import place_findings, sharing_findings
from ci.doctor.pythons import python_findings
from ci.doctor.weights import weight_findings
from ci.doctor.wording import describe_holder, gib, how_to_stop, join_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Facts, Packages, Pair
    from ci.inventory.target import Target
    from ci.plan.model import Host, Plan

MIN_PYTHON = (3, 8)
CLOCK_WARNING_S = 1.0
CLOCK_ERROR_S = 30.0
ENVIRONMENT_BYTES = 5 * 2**30
MIN_DISK_BYTES = 512 * 2**20
MIN_MEMORY_BYTES = 2 * 2**30
MIN_FREE_SHARE = 0.1  # of a disk


def findings_of(  # noqa: PLR0913 - each input is separate
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
    """Check whether the hosts are fit for a plan.

    Args:
        plan: the plan that will run on the hosts.
        facts: host → the result of `ci.remote.facts.facts.gather`, with `clock_offset_s` (how
            far its clock is ahead of the controller's) and `clock_uncertainty_s`.
        silent: host → the error, for hosts that gave no facts.
        pairs: results of the connection tests between hosts.
        targets: host → its entry in the cluster file, if it has one.
        device: the device kind that the night serves on; empty if unknown.
        run: the id of the calling run, which may already hold the hosts; empty for none.
        installed: host → existing environment → its packages.

    Returns:
        The findings: errors first, then warnings, then infos; within a severity in host order.
    """
    findings = [
        Finding(
            host,
            "connection",
            "error",
            message.removeprefix(f"{host}: "),
            "fix the connection, then run `inv doctor` again",
        )
        for host, message in silent.items()
    ]
    for host in _hosts(plan):
        if host.name in facts:
            target = targets.get(host.name)
            here = bool(target and target.is_local)
            findings += _of_host(plan, host, facts[host.name], here=here)
            findings += run_findings(host.name, facts[host.name], run)
            needed = devices_on(plan, host.name, target, device, facts[host.name])
            findings += accelerator_findings(host.name, facts[host.name], needed, here=here)
            findings += limit_findings(plan, host.name, facts[host.name], target, device)
    findings += differences_between_hosts(plan, facts, pairs)
    findings += differences(installed or {})
    findings += sharing_findings(facts)
    findings += dataset_findings(plan, facts)
    return tuple(sorted(findings, key=lambda finding: ORDER.index(finding.severity)))


def _hosts(plan: Plan) -> list[Host]:
    return list({host.name: host for host in plan.hosts}.values())


def _of_host(plan: Plan, host: Host, facts: Facts, *, here: bool) -> Iterator[Finding]:
    yield from _python(host.name, facts)
    yield from python_findings(plan, host.name, facts)
    yield from _clock(host.name, facts)
    yield from network_findings(host, facts)
    yield from _ports(plan, host.name, facts)
    yield from place_findings(plan, host, facts)
    yield from _disk(plan, host.name, facts)
    yield from _memory(host.name, facts)
    yield from _program(plan, host, facts, here=here)
    yield from weight_findings(plan, host.name, facts, here=here)
    yield from _scripts(host.name, facts)
    for name, why in facts.get("errors", {}).items():
        if name not in {"cuda", "ascend"}:
            yield Finding(host.name, name, "warning", f"unknown: {why}", "check it on the host")


def _python(host: str, facts: Facts) -> Iterator[Finding]:
    version = facts.get("python") or "0"
    if tuple(map(int, version.split(".")[:2])) < MIN_PYTHON:
        yield Finding(
            host,
            "python",
            "error",
            f"python3 is {version}, expected 3.8 or later",
            "install Python 3.8 or later, or name one with `python:` in the cluster file",
        )


def _clock(host: str, facts: Facts) -> Iterator[Finding]:
    offset_s = facts.get("clock_offset_s") or 0.0
    least_offset_s = abs(offset_s) - (facts.get("clock_uncertainty_s") or 0.0)
    if least_offset_s > CLOCK_WARNING_S:
        yield Finding(
            host,
            "clock",
            "error" if least_offset_s > CLOCK_ERROR_S else "warning",
            f"the clock is {abs(offset_s):.1f} s {'ahead of' if offset_s > 0 else 'behind'} the "
            "controller's",
            "let NTP set it: `timedatectl set-ntp true`, or `chronyc makestep`",
        )


def _ports(plan: Plan, host: str, facts: Facts) -> Iterator[Finding]:
    taken = facts.get("ports_taken") or {}
    for port in ports_on(plan, host):
        holder = taken.get(str(port))
        if not holder:
            continue
        users = [process.name for process in processes_on(plan, host) if port in ports_of(process)]
        yield Finding(
            host,
            f"port {port}",
            "error",
            f"{join_names(users)} needs this port, but {describe_holder(holder)} listens on it",
            how_to_stop(holder, "stop that process, or give the case another port"),
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
    advice = "free some space there, or set another `workspace:`"
    if to_make and free < ENVIRONMENT_BYTES:
        message = f"{left}, but making {join_names(to_make)} needs {gib(ENVIRONMENT_BYTES)}"
        yield Finding(host, "disk", "error", message, advice)
    elif free < MIN_DISK_BYTES:
        yield Finding(host, "disk", "error", f"{left}: not enough for logs", advice)
    elif free < MIN_FREE_SHARE * total:
        yield Finding(host, "disk", "warning", left, advice)


def _memory(host: str, facts: Facts) -> Iterator[Finding]:
    free = facts.get("memory_free_bytes")
    if free is not None and free < MIN_MEMORY_BYTES:
        message = f"{gib(free)} of {gib(facts.get('memory_bytes') or 0)} are free"
        yield Finding(host, "memory", "warning", message, "find what uses it: `ps aux --sort -rss`")


def _program(plan: Plan, host: Host, facts: Facts, *, here: bool) -> Iterator[Finding]:
    starters = [
        process.name
        for process in processes_on(plan, host.name)
        # What an environment script adds to PATH is known only once it has been sourced.
        if process.argv[0] == "vllm" and "PATH" not in process.env and not process.env_script
    ]
    if starters and not facts.get("vllm") and "vllm" not in facts.get("errors", {}):
        where = "the PATH here" if here else "the PATH of an SSH command"
        yield Finding(
            host.name,
            "vllm",
            "error",
            f"{join_names(starters)} starts `vllm`, which is not on {where}; a version in the "
            "workspace is used only if the case or --vllm chooses it",
            "choose a version with --vllm, name the script that sets PATH under `env_script`, or "
            "set PATH in the case's `envs`",
        )


def _scripts(host: str, facts: Facts) -> Iterator[Finding]:
    for path, problem in (facts.get("scripts") or {}).items():
        if problem:
            yield Finding(
                host,
                "env_script",
                "error",
                f"{path} {problem}",
                "install what it belongs to, or correct env_script in the case or the cluster file",
            )
