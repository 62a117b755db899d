"""Check the folders of a run on its hosts: are they writable, and which hosts share them? Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.doctor.model import Finding
from ci.doctor.needs import environment_of, processes_on
from ci.doctor.wording import join_names
from ci.vllm.command_line import model_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ci.doctor.model import Facts
    from ci.plan.model import Host, Plan

MIN_FILES = 1000
MIN_FREE_BYTES = 2**25
ENVIRONMENT_FILES = 60_000  # vLLM's with CUDA
ADVICE = {
    "workspace": "name a folder on a disk that this user can write with `workspace:` in the "
    "cluster file, or repair this one",
    "home": "vLLM, PyTorch and Triton keep caches there: set HOME or XDG_CACHE_HOME, HF_HOME, "
    "VLLM_CACHE_ROOT and TRITON_CACHE_DIR in the case's env",
    "temporary": "repair it, or change TMPDIR where the host's profile or sshd sets it; without "
    "TMPDIR it is /tmp",
    "TMPDIR": "repair it, or change `env: TMPDIR` in the case",
}


def place_findings(plan: Plan, host: Host, facts: Facts) -> Iterator[Finding]:
    """Check that a run can write to its folders on a host.

    Args:
        plan: the plan that will run there.
        host: the host.
        facts: the facts gathered on it.
    """
    starts_vllm = any(model_of(process.argv) for process in processes_on(plan, host.name))
    for place in facts.get("places") or ():
        purpose = place["purpose"]
        subject = "TMPDIR" if purpose == "temporary" else purpose
        if purpose == "home" and not starts_vllm:
            continue
        if message := _why_not(place):
            severity = "warning" if purpose == "home" else "error"
            yield Finding(host.name, subject, severity, message, ADVICE[purpose])  # type: ignore[arg-type]
        elif purpose == "workspace":
            yield from _workspace(plan, host, facts, place)
        elif purpose != "home" and place["noexec"] and starts_vllm:
            message = f"{place['path']} is mounted noexec: compiled kernels cannot be loaded there"
            yield Finding(host.name, subject, "warning", message, ADVICE[purpose])


def _why_not(place: Mapping[str, Any]) -> str:
    path, error = place["path"], place["error"]
    if not place["exists"] and place["purpose"] in {"temporary", "TMPDIR"}:
        return f"{path} does not exist"
    if place["files"] is not None and place["files"] < MIN_FILES:
        return f"{path}: the disk has inodes for {place['files']:.0f} more files only"
    # For the workspace, more is needed: see `checks.py`.
    free = place["free_bytes"]
    if place["purpose"] != "workspace" and free is not None and free < MIN_FREE_BYTES:
        return f"{path}: {free / 2**20:.0f} MiB are free on its disk"
    if error:
        below = "" if place["above"] == path else f" (it would be made in {place['above']})"
        return f"{path} cannot be written: {error}{below}"
    return ""


def _workspace(plan: Plan, host: Host, facts: Facts, place: Mapping[str, Any]) -> Iterator[Finding]:
    path = place["path"]
    own = {environment_of(process, path) for process in processes_on(plan, host.name)} - {None}
    own |= {
        item.path.rsplit("/", 1)[-1]
        for item in plan.preparations
        if (item.host, item.kind) == (host.name, "environment")
    }
    if own and place["noexec"]:
        message = f"{path} is mounted noexec: the programs of {_names(own)} cannot run there"
        yield Finding(host.name, "workspace", "error", message, ADVICE["workspace"])
    known = facts.get("environments") or {}
    if own - known.keys() and (place["files"] or ENVIRONMENT_FILES) < ENVIRONMENT_FILES:
        message = f"{path}: the disk has inodes for {place['files']:.0f} more files only"
        advice = "an environment may need more: " + ADVICE["workspace"]
        yield Finding(host.name, "workspace", "warning", message, advice)
    for name in sorted(own & known.keys(), key=str):
        yield from _elsewhere(host.name, str(name), known[name], facts)


def _elsewhere(host: str, name: str, stamp: Mapping[str, Any], facts: Facts) -> Iterator[Finding]:
    machine = stamp.get("machine")
    if machine and facts.get("machine") and machine != facts["machine"]:
        what = f"is for {machine}, and this host is {facts['machine']}"
        advice = f"remove envs/{name} in that workspace: each makes its own then"
    elif stamp.get("runs") is False:
        what = "was made with a Python that is not on this host"
        advice = "give each kind of host its own folder with `workspace:` in the cluster file"
    else:
        return
    message = f"the environment {name} {what}: another host with this workspace has made it"
    yield Finding(host, "workspace", "error", message, advice)


def sharing_findings(facts: Mapping[str, Facts]) -> Iterator[Finding]:
    """Report hosts that share a workspace.

    Args:
        facts: host → facts, for the hosts that answered.
    """
    left = list(facts)
    while left:
        first = left.pop(0)
        group = [first, *(host for host in left if _shared(facts[first], facts[host]))]
        left = [host for host in left if host not in group]
        if len(group) > 1:
            yield from _shared_by(group, facts)


def _shared(first: Facts, second: Facts) -> bool:
    if (first.get("name"), first.get("boot_id")) == (second.get("name"), second.get("boot_id")):
        return False  # one machine under two names
    own, other = (facts.get("sharing") or {} for facts in (first, second))
    same = own.get("identity") is not None and own["identity"] == other.get("identity")
    both = second.get("name") in own.get("hosts", ()) and first.get("name") in other["hosts"]
    return same or both


def _shared_by(group: Sequence[str], facts: Mapping[str, Facts]) -> Iterator[Finding]:
    path = next((p["path"] for p in facts[group[0]].get("places") or ()), "")
    message = f"{path} is shared by {join_names(group)}"
    advice = "each keeps its runs apart in it; environments and models are made once"
    yield Finding("", "workspace", "info", message, advice)
    names = [facts[host].get("name") for host in group]
    boots = {facts[host].get("boot_id") for host in group}
    if len(set(names)) < len(names) and len(boots) > 1:
        message = f"{message}, and some have the same hostname and /etc/machine-id ({names[0]})"
        advice = "give each a hostname of its own, or another `workspace:`: their runs would mix"
        yield Finding("", "workspace", "error", message, advice)


def _names(values: set[Any]) -> str:
    return join_names(sorted(map(str, values)))
