"""Hosts made of namespaces, as root: begun, found again, ended. Mounts, links and processes."""

from __future__ import annotations

import ipaddress
import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError
from ci.lab import network
from ci.lab.look import began, listening, namespace_of, pids, read_mounts
from ci.lab.programs import find_program
from ci.lab.run_tool import PATH, run_tool
from ci.lab.sshd import last_word
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.lab.model import Lab, LabHost

# Begin empty on every host, whatever this machine has there.
EMPTY = ("/tmp", "/run", "/var/tmp")  # noqa: S108 - named, not used
# Not shown: the system's own, made anew for each host, and what cannot carry an overlay.
OWN = ("/proc", "/sys", "/dev")
UNSEEN = ("autofs", "squashfs", "nsfs", "binfmt_misc", "fuse.gvfsd-fuse", "fuse.portal")


def make_hosts(lab: Lab) -> None:
    """Make the network and begin every host.

    Raises:
        InfrastructureError: a host did not begin; carries its own words.
    """
    network.make_network(lab)
    begin(lab, lab.hosts, empty=True)


def begin(lab: Lab, hosts: Sequence[LabHost], *, empty: bool) -> None:
    """Begin hosts whose network is there, and wait for their sshds."""
    starter = Path(__file__).with_name("start_hosts.py")
    run_tool([sys.executable, "-ISB", str(starter)], json.dumps(_specs(lab, hosts, empty=empty)))
    waiting = [host.name for host in hosts]

    def all_listen() -> bool:
        waiting[:] = [name for name in waiting if not serves(lab, name)]
        return not waiting

    if not wait_for(all_listen, timeout_s=30 + 0.5 * len(hosts)):
        raise InfrastructureError(
            f"{waiting[0]}'s sshd does not listen, {last_word(lab, waiting[0])}"
        )


def _specs(lab: Lab, hosts: Sequence[LabHost], *, empty: bool) -> dict[str, object]:
    names = [f"{host.address}\t{host.name}\n" for host in lab.hosts]
    workspace = lab.workspace or str(Path("~/.cache/lamplighter").expanduser())
    state = Path(workspace).resolve() / ".lamplighter"
    fresh = [
        *EMPTY,
        *(str(path) for path in (lab.folder, Path("/root/.ssh")) if path.is_dir()),
        *([str(state)] if state.parent.is_dir() else ()),
    ]
    return {
        "hosts": [_spec(lab, host, empty=empty) for host in hosts],
        "etc_hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n" + "".join(names),
        "fresh": [
            path
            for path in fresh
            if path in EMPTY or under(path, lab.shown) or not under(path, EMPTY)
        ],
        "mounts": [*shown_mounts(lab), *lab.shown],
        "path": PATH,
        "sshd": find_program("sshd"),
    }


def _spec(lab: Lab, host: LabHost, *, empty: bool) -> dict[str, object]:
    return {
        "name": host.name,
        "netns": network.namespace(lab, host),
        "address": host.address,
        "netmask": str(ipaddress.ip_network(lab.subnet).netmask),
        "home": str(lab.home(host.name)),
        "disk_mb": lab.disk_mb,
        "empty": empty,
    }


def under(path: str, folders: Sequence[str]) -> bool:
    """Say whether a path is one of some folders or inside of one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def shown_mounts(lab: Lab) -> list[str]:
    """The file systems beside `/` that hosts see too, outer ones first."""
    hidden = (*EMPTY, *OWN, str(lab.folder))
    seen = [
        mount.path
        for mount in read_mounts()
        if mount.path != "/"
        and mount.kind not in UNSEEN
        and not under(mount.path, hidden)
        and not mount.path.startswith("/etc/")
    ]
    return sorted(set(seen))


def serves(lab: Lab, name: str) -> bool:
    """Say whether a host's sshd listens."""
    pid = first_process(lab, name)
    return pid is not None and any(port == lab.port for _, port in listening(pid))


def first_process(lab: Lab, name: str) -> int | None:
    """The number on this machine of a host's process 1; None while the host is down."""
    try:
        pid, ticks = (lab.home(name) / "pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if began(int(pid)) == ticks else None


def residents(lab: Lab) -> list[int]:
    """Every process in the lab's namespaces, found by the kernel's own numbers of these."""
    inodes = set()
    for name in network.names_here(lab):
        try:
            inodes.add((network.NAMESPACES / name).stat().st_ino)
        except OSError:
            continue
    return [pid for pid in pids() if inodes and namespace_of(pid, "net") in inodes]


def residents_of(lab: Lab, name: str) -> list[int]:
    """Every process in one host's network, be its process 1 alive or not."""
    try:
        inode = (network.NAMESPACES / network.namespace(lab, lab.host(name))).stat().st_ino
    except OSError:
        return []
    return [pid for pid in pids() if namespace_of(pid, "net") == inode]


def end_hosts(lab: Lab) -> None:
    """End every process, mount, namespace and link of a lab, whatever state it is in.

    Raises:
        InfrastructureError: something stayed.
    """
    if not wait_for(lambda: not _kill(residents(lab)), timeout_s=20):
        raise InfrastructureError(f"processes of lab {lab.name} do not end: {residents(lab)}")
    network.remove_network(lab)
    inside = f"{lab.folder}/hosts/"
    disks = [mount.path for mount in read_mounts() if mount.path.startswith(inside)]
    if disks:
        run_tool(["umount", "-l", *disks])


def _kill(found: Sequence[int]) -> Sequence[int]:
    for pid in found:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return found
