"""Inspect a lab's hosts from this machine as root, even while they are disconnected."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from ci.errors import InfrastructureError, UserError
from ci.lab import namespaces
from ci.lab.look import Process, listening, read_process
from ci.lab.run_tool import PATH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.lab.model import Lab

# Paths that starting a host writes; `written` leaves them out.
OWN = (
    "/run/lab", "/run/sshd", "/etc/hostname", "/etc/hosts", "/etc/machine-id", "/etc/shadow",
    "/root/.bashrc", "/etc/ld.so.preload",
)  # fmt: skip


def first_process(lab: Lab, host: str) -> int:
    """Return the PID on this machine of a host's process 1.

    Raises:
        UserError: the lab has loopback hosts, which have no process 1.
        InfrastructureError: the host is down.
    """
    if not lab.root:
        raise UserError(f"lab {lab.name} has loopback sshds; this needs a lab made as root")
    pid = namespaces.first_process(lab, lab.host(host).name)
    if pid is None:
        raise InfrastructureError(f"lab host {host} is down; boot it first")
    return pid


def run_in(
    lab: Lab, host: str, argv: Sequence[str], *, stdin: str = "", timeout_s: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a command on a host as root, without using the network.

    Raises:
        InfrastructureError: the host is down, or the command timed out.
    """
    enter = ["nsenter", f"--target={first_process(lab, host)}"]
    namespace_flags = ["--mount", "--uts", "--ipc", "--net", "--pid"]
    environment = {"PATH": lab.path or PATH, "HOME": "/root", "USER": "root"}
    try:
        return subprocess.run(
            [*enter, *namespace_flags, "--", *argv], env=environment, input=stdin,
            capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"{host}: {' '.join(argv)} did not end within {timeout_s:g} s"
        ) from None


def processes(lab: Lab, host: str) -> tuple[Process, ...]:
    """Return the processes of a host, except the lab's own process 1 and sshd listener.

    Starts nothing on the host. A host that is down has no processes.
    """
    first = namespaces.first_process(lab, lab.host(host).name)
    running = [p for pid in namespaces.processes_on(lab, host) if (p := read_process(pid))]
    return tuple(p for p in running if p.pid != first and not _is_the_labs(p, first))


def _is_the_labs(process: Process, first: int | None) -> bool:
    # Orphans are children of process 1 too, such as a session whose sshd was killed.
    idle = process.command.endswith(("sleep 0.1", "sleep 0.05"))  # perhaps after an emulator
    return process.parent == first and (idle or "/run/lab/sshd_config" in process.command)


def listener(lab: Lab, host: str) -> int | None:
    """Return the PID on this machine of a host's listening sshd; None while there is none."""
    first = first_process(lab, host)
    running = (read_process(pid) for pid in namespaces.processes_on(lab, host))
    for process in running:
        if process and _is_the_labs(process, first) and process.name.startswith("sshd"):
            return process.pid
    return None


def ports(lab: Lab, host: str) -> set[int]:
    """Return the TCP ports with a listener on a host, except sshd's."""
    return {port for _, port in listening(first_process(lab, host))} - {lab.port}


def root_of(lab: Lab, host: str) -> Path:
    """Return a host's `/` as a folder of this machine; do not follow absolute links in it."""
    return Path(f"/proc/{first_process(lab, host)}/root")


def written(lab: Lab, host: str) -> list[str]:
    """Return the files and links that were written or deleted on a host, and those in /dev/shm.

    Also works for a host that is down, because its disk remains. Folders are not listed.
    """
    disk = lab.home(host) / "disk"
    layers = [(disk / "upper", "/")]
    layers += [(layer / "upper", unquote(layer.name)) for layer in disk.glob("shown/*")]
    paths = [f"{top.rstrip('/')}/{path}" for folder, top in layers for path in _files(folder)]
    first = namespaces.first_process(lab, host)
    if first is not None:
        shared = Path(f"/proc/{first}/root/dev/shm")
        paths += [f"/dev/shm/{path}" for path in _files(shared)]  # noqa: S108
    return sorted(path for path in paths if not namespaces.under(path, OWN))


def _files(folder: Path) -> list[str]:
    return [
        os.path.relpath(os.path.join(parent, name), folder)  # noqa: PTH118
        for parent, _, names in os.walk(folder)
        for name in names
    ]
