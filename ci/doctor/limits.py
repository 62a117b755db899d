"""Limits of a host's kernel × what the plan needs of them → findings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.doctor.model import Finding
from ci.doctor.needs import devices_on, processes_on
from ci.doctor.wording import gib, join_names
from ci.vllm.command_line import model_of
from ci.vllm.devices import size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.doctor.model import Facts, Severity
    from ci.inventory.target import Target
    from ci.plan.model import Plan, PlannedProcess

MIN_SHM_BYTES = 2**30
DOCKER_SHM_BYTES = 64 * 2**20  # Docker's default; NCCL's and vLLM's queues do not fit
MIN_MEMLOCK_BYTES = 2**36  # what is registered is the KV cache, of the order of the devices' memory
OWN_FILES = 512  # that a server or a router has open besides its connections
TRANSFERS = ("mooncake", "nixl", "ucx", "rdma", "ibverbs")
HUGE = ("hugepage", "huge_page", "hugetlb")
OFF = {"", "0", "false", "no", "off"}


def limit_findings(
    plan: Plan, host: str, facts: Facts, target: Target | None, device: str
) -> Iterator[Finding]:
    """Check a host's limits, each only where the plan needs it.

    Args:
        plan: the plan that will run there.
        host: the host's name.
        facts: the facts gathered on it.
        target: its entry in the cluster file; None if it has none.
        device: the device kind that the night serves on; empty if unknown.
    """
    processes = processes_on(plan, host)
    yield from _shared_memory(host, facts, processes)
    kind = devices_on(plan, host, target, device, facts).kind
    yield from _locked_memory(host, facts, processes, several=len(plan.hosts) > 1 and bool(kind))
    yield from _open_files(plan, host, facts, processes)
    yield from _huge_pages(host, facts, processes)


def _shared_memory(
    host: str, facts: Facts, processes: tuple[PlannedProcess, ...]
) -> Iterator[Finding]:
    free, total = facts.get("shm_free_bytes"), facts.get("shm_total_bytes")
    if free is None or free >= MIN_SHM_BYTES:
        return
    parallel = [
        process.name
        for process in processes
        if max(size(process.argv, "tp"), size(process.argv, "pp")) > 1
    ]
    small = total is not None and total <= DOCKER_SHM_BYTES
    severity: Severity = "error" if parallel and (small or not free) else "warning"
    who = f"the ranks of {join_names(parallel)}" if parallel else "vLLM's processes"
    yield Finding(
        host,
        "/dev/shm",  # noqa: S108 - named, not used
        severity,
        f"{gib(free)} are free; {who} exchange data through it",
        "remount it larger: `mount -o remount,size=16G /dev/shm`; in Docker `--shm-size`",
    )


def _locked_memory(
    host: str, facts: Facts, processes: tuple[PlannedProcess, ...], *, several: bool
) -> Iterator[Finding]:
    limit = (facts.get("limits") or {}).get("memlock_bytes")
    if limit is None or limit >= MIN_MEMLOCK_BYTES:
        return
    transfers = [process.name for process in processes if _names(process, TRANSFERS)]
    if not transfers and not several:
        return
    who = join_names(transfers) or "communication between the hosts"
    yield Finding(
        host,
        "ulimit -l",
        "error" if transfers else "warning",
        f"{limit / 1024:.0f} KiB of memory may be locked; RDMA of {who} registers its buffers, "
        "and fails with `Cannot allocate memory`",
        "set `* - memlock unlimited` in /etc/security/limits.d/ (LimitMEMLOCK=infinity for sshd "
        "in systemd), and log in again",
    )


def _open_files(
    plan: Plan, host: str, facts: Facts, processes: tuple[PlannedProcess, ...]
) -> Iterator[Finding]:
    limits = facts.get("limits") or {}
    concurrency = max((each.benchmark.batch_size for each in plan.evaluations), default=0)
    tools = [each.process for each in plan.evaluations if each.host == host]
    # vLLM raises its own limit to the hard one; tools and routers keep the soft one.
    others = [*tools, *(p.name for p in processes if not model_of(p.argv))]
    servers = [process.name for process in processes if model_of(process.argv)]
    for names, key, per_request in ((others, "open_files", 2), (servers, "open_files_most", 1)):
        limit, needed = limits.get(key), OWN_FILES + per_request * concurrency
        if names and limit is not None and limit < needed:
            yield Finding(
                host,
                "ulimit -n",
                "error" if limit <= concurrency else "warning",
                f"{limit:.0f} files may be open; {join_names(names)} may need {needed} with "
                f"{concurrency} concurrent requests",
                "set `* - nofile 65536` in /etc/security/limits.d/ (LimitNOFILE=65536 for sshd in "
                "systemd), and log in again; or lower `batch_size`",
            )
            return


def _huge_pages(
    host: str, facts: Facts, processes: tuple[PlannedProcess, ...]
) -> Iterator[Finding]:
    pages = facts.get("huge_pages") or {}
    users = [process.name for process in processes if _names(process, HUGE)]
    if users and pages and not pages.get("free"):
        yield Finding(
            host,
            "huge pages",
            "error",
            f"0 of {pages.get('total', 0):.0f} huge pages are free; {join_names(users)} needs them",
            "reserve them: `sysctl -w vm.nr_hugepages=NUMBER`, or switch them off in the case",
        )


def _names(process: PlannedProcess, words: tuple[str, ...]) -> bool:
    """Return whether a command line, file or variable that is not switched off has a word."""
    shown = [*process.argv, *process.files.values()]
    shown += [f"{name}={value}" for name, value in process.env.items() if value.lower() not in OFF]
    return any(word in text.lower() for text in shown for word in words)
