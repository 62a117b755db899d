"""`inv lab.up` and `inv lab.down`: hosts on this machine, and a cluster file for them."""

from __future__ import annotations

import os
from pathlib import Path

from ci.inventory.cluster_file import CLUSTERS
from ci.lab import lab
from ci.paths import workspace_of


def up(count: int, name: str, disk_mb: int, machine: str) -> str:
    """Make the hosts; return how to use them.

    Args:
        count: number of hosts.
        name: name of the lab and of its cluster file.
        disk_mb: MB that each host may write; 0 for half of this machine's memory.
        machine: architecture of the hosts; empty for this machine's, whose files they see.

    Raises:
        UserError: the lab is already up, or a program is missing and may not be installed.
    """
    workspace = workspace_of("") if os.geteuid() == 0 and not machine else ""
    made = lab.up(
        _folder(name),
        count,
        name=name,
        cluster_file=CLUSTERS / f"{name}.yaml",
        workspace=workspace,
        disk_mb=disk_mb,
        machine=machine,
    )
    hosts = ", ".join(f"{host.name} ({host.address})" for host in made.hosts)
    return (
        f"{hosts}\nNow: inv doctor --cluster {name}; inv nightly --config local-2-hosts.yaml "
        f"--cluster {name}; finally inv lab.down{f' --name {name}' if name != 'lab' else ''}\n"
    )


def down(name: str) -> str:
    """Remove the hosts; return what was removed.

    Raises:
        UserError: the name is not valid for a lab, or the lab was made as root.
    """
    lab.check_name(name)
    folder = _folder(name)
    if not folder.exists():
        return f"no lab {name} is up\n"
    lab.down(folder)
    return f"{name} is removed\n"


def _folder(name: str) -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "lamplighter-labs" / name
