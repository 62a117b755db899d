"""Read all facts of this host: machine, network, ports, accelerators, software, weights.

Modules that are seldom needed are imported late: this runs on every host of a large cluster.
"""

from __future__ import annotations

import os
import pwd
import sys
import time

from ci.remote.facts import limits, network, places, shared_files, software
from ci.remote.facts import ports as listening_ports
from ci.remote.facts.device_tools import accelerator_tools
from ci.remote.supervise import presence
from ci.remote.supervise.host import own_name
from ci.remote.supervise.store import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

    Facts = Dict[str, Any]


def gather(  # noqa: PLR0913, PLR0917 - as it is asked
    workspace: str,
    ports: List[int],
    models: Optional[Dict[str, Dict[str, Any]]] = None,
    scripts: Sequence[str] = (),
    folders: Sequence[str] = (),
    shared: Optional[List[str]] = None,
    pythons: bool = False,  # noqa: FBT001, FBT002 - as it is asked
    only: Sequence[str] = (),
) -> Facts:
    """Read all facts. Starts a process only if the host has the tool of an accelerator.

    Args:
        workspace: the folder whose disk and environments are read; need not exist.
        ports: ports whose owners are looked for.
        models: key → a model to look for, as of `weights.look`.
        scripts: environment scripts to look for.
        folders: temporary folders that the case names.
        shared: files of /dev/shm from before; see `shared_files`.
        pythons: whether to look for the Pythons that uv would find.
        only: the facts of this machine to read; empty for all.

    Returns:
        Fact → value; null for a fact that cannot be read, with the reason in `errors`. `time_s` is
        the wall clock at the start, and `took_s` the duration, for the clock's offset.
    """
    began = time.monotonic()
    errors: Dict[str, str] = {}
    facts: Facts = {"time_s": time.time(), "errors": errors}
    listeners: List[listening_ports.Listener] = []
    readers: Dict[str, Callable[[], Any]] = {
        **_MACHINE,
        "disk": lambda: _space(workspace),
        "shm": lambda: _space("/dev/shm"),  # noqa: S108 - only read
        "listening": lambda: _listening(listeners),
        "ports_taken": lambda: listening_ports.taken(ports, listeners),
        "environments": lambda: software.environments(workspace),
        "pythons": lambda: software.pythons(workspace) if pythons else None,
        "accelerators": lambda: _accelerators(errors),
        "places": lambda: places.find(workspace, list(folders)),
        "sharing": lambda: places.sharing(workspace),
        "shared_files": lambda: shared_files.own(known=shared),
    }
    for name in only or readers:
        facts[name] = _read(name, readers[name], errors)
    for name in ("disk", "shm"):
        free, total = facts.pop(name, None) or (None, None)
        facts.update({f"{name}_free_bytes": free, f"{name}_total_bytes": total})
    facts["weights"] = {
        key: _read(f"weights {key}", lambda model=model: _weights(model), errors)  # type: ignore[misc]
        for key, model in (models or {}).items()
    }
    facts["scripts"] = {path: _script(path) for path in scripts}
    facts["took_s"] = time.monotonic() - began
    return facts


def _read(name: str, read: Callable[[], Any], errors: Dict[str, str]) -> Any:  # noqa: ANN401
    try:
        return read()
    except Exception as error:  # noqa: BLE001 - the other facts are still read
        errors[name] = f"{type(error).__name__}: {error}"
        return None


def _listening(listeners: List[listening_ports.Listener]) -> List[int]:
    listeners.extend(listening_ports.listeners())
    return sorted({listener.port for listener in listeners})


def _accelerators(errors: Dict[str, str]) -> List[Dict[str, Any]]:
    """List the accelerators; a tool that hangs or fails is an error, not an empty list."""
    tools = accelerator_tools()
    devices = _devices()
    if not tools and not devices:
        return []
    from ci.remote.facts import accelerators  # noqa: PLC0415

    listed, tool_errors = accelerators.find(tools, devices)
    errors.update(tool_errors)
    return listed


def _devices() -> List[str]:
    return [name for name in os.listdir("/dev") if name.startswith(("davinci", "nvidia"))]


def _weights(model: Dict[str, Any]) -> Dict[str, Any]:
    from ci.remote.facts import weights  # noqa: PLC0415

    return weights.look(model)


def _script(path: str) -> str:
    """Say why an environment script cannot be sourced; empty if it can be read."""
    from ci.remote.requests import source  # noqa: PLC0415

    return source.problem_of(path)


def _space(path: str) -> Tuple[int, int]:
    """Return the bytes free to this user and in total, on the file system of `path`."""
    while not os.path.isdir(path):
        path = os.path.dirname(path) or "/"
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize


def _memory(field: str) -> int:
    with open("/proc/meminfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise OSError(f"/proc/meminfo has no {field}")


def _cpu() -> str:
    """Return the processor's name, from the first entry: the kernel may need long for all."""
    with open("/proc/cpuinfo", "rb", buffering=0) as file:
        lines = file.read(4096).decode("utf-8", "replace").splitlines()
    fields: Dict[str, str] = {}
    for key, _, value in (line.partition(":") for line in lines):
        fields.setdefault(key.strip(), value.strip())
    name: Optional[str] = fields.get("model name") or fields.get("cpu model")
    if name or "CPU part" not in fields:
        return name or os.uname().machine
    # 64-bit Arm has only numbers there, see Linux arch/arm64/include/asm/cputype.h.
    return f"{os.uname().machine} implementer {fields['CPU implementer']} part {fields['CPU part']}"


def _runs() -> List[Dict[str, Any]]:
    runs = presence.present_runs()
    if runs:
        from ci.remote.facts.owner import user_name  # noqa: PLC0415 - seldom needed

        for run in runs:
            uid = run.pop("uid")
            run["user"] = None if uid is None else user_name(uid)
    return runs


def _uptime_s() -> float:
    with open("/proc/uptime", encoding="utf-8") as file:
        return float(file.read().split()[0])


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


_MACHINE: Dict[str, Callable[[], Any]] = {
    "hostname": lambda: os.uname().nodename,
    "kernel": lambda: os.uname().release,
    "machine": lambda: os.uname().machine,
    "cpu": _cpu,
    "cores": lambda: len(os.sched_getaffinity(0)),
    "memory_bytes": lambda: _memory("MemTotal"),
    "memory_free_bytes": lambda: _memory("MemAvailable"),
    "python": lambda: ".".join(map(str, sys.version_info[:3])),
    "boot_id": boot_id,
    "name": own_name,
    "limits": limits.limits,
    "huge_pages": limits.huge_pages,
    "uptime_s": _uptime_s,
    "user": _user,
    "home": lambda: os.path.expanduser("~"),
    "interfaces": network.interfaces,
    "addresses": network.addresses,
    "default_interface": network.default_interface,
    "ssh_address": network.ssh_address,
    "runs": _runs,
    "vllm": software.vllm_on_path,
    "cann": software.cann_version,
    "firmware": software.firmware,
}
