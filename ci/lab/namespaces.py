"""Start, find and end lab hosts made of namespaces, as root."""

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
from ci.lab.emulate import emulator_of, forget_emulator
from ci.lab.look import (
    cgroups_of,
    listening,
    namespace_of,
    pids,
    read_mounts,
    remove_cgroups,
    remove_freezers,
    start_ticks,
)
from ci.lab.programs import find_program
from ci.lab.run_tool import PATH, run_tool
from ci.lab.sshd import last_log_line
from ci.lab.wait import wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.lab.model import Lab, LabHost

# `-I` removes the project from the path.
START = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from ci.lab.start_hosts import main; sys.exit(main())"
)
# Empty at the start of every host, even if this machine has files there.
EMPTY = ("/tmp", "/run", "/var/tmp")  # noqa: S108 - named, not used
# Not shown to hosts: each host mounts these itself.
OWN = ("/proc", "/sys", "/dev")
# Kinds of file systems that cannot be below an overlay.
HIDDEN_KINDS = ("autofs", "squashfs", "nsfs", "binfmt_misc", "fuse.gvfsd-fuse", "fuse.portal")


def make_hosts(lab: Lab) -> None:
    """Make the network and start every host.

    Raises:
        InfrastructureError: a host did not start; has the last line of its sshd's log.
    """
    network.make_network(lab)
    start_hosts(lab, lab.hosts, empty=True)


def start_hosts(lab: Lab, hosts: Sequence[LabHost], *, empty: bool) -> None:
    """Start hosts whose network exists, and wait until their sshds listen.

    Args:
        lab: the lab.
        hosts: the hosts to start.
        empty: whether they get empty disks; else they keep what they had.

    Raises:
        InfrastructureError: a host did not start; has the last line of its sshd's log.
    """
    run_tool([sys.executable, "-ISBc", START], json.dumps(_specs(lab, hosts, empty=empty)))
    waiting = [host.name for host in hosts]

    def all_listen() -> bool:
        waiting[:] = [name for name in waiting if not serves(lab, name)]
        return not waiting

    if not wait_for(all_listen, timeout_s=30 + 0.5 * len(hosts)):
        raise InfrastructureError(
            f"{waiting[0]}'s sshd does not listen; {last_log_line(lab, waiting[0])}"
        )


def _specs(lab: Lab, hosts: Sequence[LabHost], *, empty: bool) -> dict[str, object]:
    ours = not lab.base  # the hosts see this machine's own files
    names = [f"{host.address}\t{host.name}\n" for host in lab.hosts]
    workspace = lab.workspace or str(Path("~/.cache/lamplighter").expanduser())
    state = Path(workspace).resolve() / ".lamplighter"
    fresh = [
        *EMPTY,
        *(str(path) for path in (lab.folder, Path("/root/.ssh")) if ours and path.is_dir()),
        *([str(state)] if ours and state.parent.is_dir() else ()),
    ]
    return {
        "hosts": [_spec(lab, host, empty=empty) for host in hosts],
        "etc_hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n" + "".join(names),
        "fresh": [
            path
            for path in fresh
            if path in EMPTY or under(path, lab.shown) or not under(path, EMPTY)
        ],
        "mounts": [*(shown_mounts(lab) if ours else ()), *lab.shown],
        "shared": [lab.shared_home] if lab.shared_home else [],
        "path": PATH,
        "sshd": find_program("sshd") if ours else "/usr/sbin/sshd",
        "base": lab.base or "/",
        "emulator": emulator_of(lab),
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
    """Return whether a path is one of the folders or inside one of them."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def shown_mounts(lab: Lab) -> list[str]:
    """Return the mount points besides `/` that hosts see too, outer mounts first."""
    hidden = (*EMPTY, *OWN, str(lab.folder))
    shown = [
        mount.path
        for mount in read_mounts()
        if mount.path != "/"
        and mount.kind not in HIDDEN_KINDS
        and not under(mount.path, hidden)
        and not mount.path.startswith("/etc/")
    ]
    return sorted(set(shown))


def serves(lab: Lab, name: str) -> bool:
    """Return whether a host's sshd listens."""
    pid = first_process(lab, name)
    return pid is not None and any(port == lab.port for _, port in listening(pid))


def first_process(lab: Lab, name: str) -> int | None:
    """Return the PID on this machine of a host's process 1; None while the host is down."""
    try:
        pid, ticks = (lab.home(name) / "pid").read_text().split()
    except (OSError, ValueError):
        return None
    return int(pid) if start_ticks(int(pid)) == ticks else None


def processes_of(lab: Lab) -> list[int]:
    """Return the PIDs in the lab's network namespaces, found by the namespaces' inodes."""
    inodes = set()
    for name in network.names_here(lab):
        try:
            inodes.add((network.NAMESPACES / name).stat().st_ino)
        except OSError:
            continue
    return [pid for pid in pids() if inodes and namespace_of(pid, "net") in inodes]


def processes_on(lab: Lab, name: str) -> list[int]:
    """Return the PIDs in a host's network namespace, even if its process 1 has ended."""
    try:
        inode = (network.NAMESPACES / network.namespace(lab, lab.host(name))).stat().st_ino
    except OSError:
        return []
    return [pid for pid in pids() if namespace_of(pid, "net") == inode]


def end_hosts(lab: Lab) -> None:
    """End every process, mount, namespace and link of a lab in any state.

    Raises:
        InfrastructureError: something could not be removed.
    """
    groups = cgroups_of(processes_of(lab))
    if not wait_for(lambda: not _kill(processes_of(lab)), timeout_s=20):
        raise InfrastructureError(f"processes of lab {lab.name} do not end: {processes_of(lab)}")
    remove_cgroups(groups)
    remove_freezers(lab)
    forget_emulator(lab)
    network.remove_network(lab)
    folder = f"{lab.folder}/hosts/"
    disks = [mount.path for mount in read_mounts() if mount.path.startswith(folder)]
    if disks:
        run_tool(["umount", "-l", *disks])


def _kill(running: Sequence[int]) -> Sequence[int]:
    for pid in running:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    return running
