"""Read processes, ports and mounts from /proc."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ci.lab.model import Lab

LISTENING = "0A"
FREEZERS, FREEZER = Path("/sys/fs/cgroup/freezer"), "lamplighter-"


@dataclass(frozen=True)
class Mount:
    """A mount: its mount point and its kind of file system."""

    path: str
    kind: str


@dataclass(frozen=True)
class Process:
    """A process of a host.

    Attributes:
        pid: its PID on this machine.
        pid_there: its PID on the host.
        parent: its parent's PID on this machine.
        name: its name in the kernel, at most 15 characters.
        command: its command line, separated by spaces.
    """

    pid: int
    pid_there: int
    parent: int
    name: str
    command: str


def cgroups_of(running: Iterable[int]) -> set[Path]:
    """Return the cgroups that supervisors have made for these processes; a reboot ends them."""
    top = next((mount.path for mount in read_mounts() if mount.kind == "cgroup2"), "")
    groups = set()
    for pid in running if top else ():
        try:
            lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
        except OSError:
            continue
        paths = (line[4:] for line in lines if line.startswith("0::/"))
        groups |= {Path(top, path) for path in paths if "lamplighter," in path}
    return groups


def remove_cgroups(groups: Iterable[Path]) -> None:
    """Remove cgroups that are empty."""
    for group in groups:
        with contextlib.suppress(OSError):
            group.rmdir()


def freezer_of(lab: Lab, name: str) -> Path:
    """Return the cgroup below which a host's slurmd makes its own, see `slurm.py`."""
    return FREEZERS / f"{FREEZER}{lab.name}-{lab.host(name).index}"


def remove_freezers(lab: Lab) -> None:
    """Remove the cgroups of the slurmds of a lab whose processes have ended."""
    for host in lab.hosts:
        for parent, _, _ in os.walk(freezer_of(lab, host.name), topdown=False):
            with contextlib.suppress(OSError):
                Path(parent).rmdir()


def read_mounts() -> list[Mount]:
    """Return the mounts that this process sees."""
    mounts = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        path = re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), before.split()[4])
        mounts.append(Mount(path, after.split()[0]))
    return mounts


def pids() -> Iterator[int]:
    """Return the PIDs of all processes."""
    return (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208


def namespace_of(pid: int, kind: str) -> int | None:
    """Return the inode of a process's namespace; None if the process has ended."""
    try:
        return Path(f"/proc/{pid}/ns/{kind}").stat().st_ino
    except OSError:
        return None


def read_process(pid: int) -> Process | None:
    """Read a process; None if it has ended, reaped or not."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return None
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    if fields["State"][0] in "ZX":
        return None
    return Process(
        pid=pid,
        pid_there=int(fields["NSpid"].split()[-1]),
        parent=int(fields["PPid"]),
        name=fields["Name"],
        command=command.replace(b"\0", b" ").decode(errors="replace").strip(),
    )


def start_ticks(pid: int) -> str:
    """Return the start time of a process in the kernel's ticks; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def listening(pid: int | str) -> set[tuple[str, int]]:
    """Return the TCP addresses and ports with a listener in a process's network namespace."""
    listeners = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]
        except OSError:
            continue
        listeners |= {_local(row[1]) for row in map(str.split, lines) if row[3] == LISTENING}
    return listeners


def _local(text: str) -> tuple[str, int]:
    # Addresses are printed as 32-bit words in the machine's byte order.
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = b"".join(struct.pack("=I", word) for word in words)
    return str(ipaddress.ip_address(packed)), int(port, 16)
