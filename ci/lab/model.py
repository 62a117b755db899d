"""A lab's hosts and files, stored in `lab.json` so that any process can end the lab."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ci.errors import UserError


@dataclass(frozen=True)
class LabHost:
    """A host of a lab.

    Attributes:
        name: its name in the cluster file; also its hostname if the lab was made as root.
        index: its number; the first is 1.
        address: the IPv4 address that its sshd listens on.
    """

    name: str
    index: int
    address: str


@dataclass(frozen=True)
class Lab:
    """A lab that is up.

    Attributes:
        name: unique among the labs that are up on this machine.
        folder: folder of its keys, logs and state.
        cluster_file: file for `--cluster`; written by `up`, removed by `down`.
        root: True for network namespaces, False for loopback sshds of a plain user.
        user: the user that logs in.
        port: the port of every sshd.
        hosts: its hosts, in order.
        subnet: the hosts' network, e.g. `10.213.0.0/24`; empty without root.
        workspace: the workspace on each host; empty for the default.
        disk_mb: disk size of each host in MB; 0 for half the memory.
        path: PATH of the sessions; empty for sshd's own.
        shown: folders under /tmp or /run of this machine that the hosts see.
        shared_home: a folder of this machine that all hosts write to, as a home on NFS is; the
            default workspace is below it. Empty for none.
        machine: architecture of the hosts, as `uname -m` prints it; empty for this machine's.
        base: the root folder of the hosts' programs; empty for this machine's own `/`.
    """

    name: str
    folder: Path
    cluster_file: Path
    root: bool
    user: str
    port: int
    hosts: tuple[LabHost, ...]
    subnet: str = ""
    workspace: str = ""
    disk_mb: int = 0
    path: str = ""
    shown: tuple[str, ...] = ()
    shared_home: str = ""
    machine: str = ""
    base: str = ""

    @property
    def identity(self) -> Path:
        """Return the path of the private key that logs in to every host."""
        return self.folder / "identity"

    @property
    def known_hosts(self) -> Path:
        """Return the path of the known_hosts file with the host keys."""
        return self.folder / "known_hosts"

    @property
    def key(self) -> str:
        """Return eight characters that stand for the lab's name where names must be short."""
        return hashlib.sha256(self.name.encode()).hexdigest()[:8]

    def home(self, host: str) -> Path:
        """Return the folder of this machine with a host's keys, log and disk.

        Raises:
            UserError: the lab has no such host.
        """
        return self.folder / "hosts" / self.host(host).name

    def host(self, name: str) -> LabHost:
        """Find a host by its name.

        Raises:
            UserError: the lab has no such host.
        """
        named = next((host for host in self.hosts if host.name == name), None)
        if named is None:
            raise UserError(
                f"lab {self.name} has no host {name}; it has "
                f"{', '.join(host.name for host in self.hosts)}"
            )
        return named


def save(lab: Lab) -> None:
    """Write a lab's state atomically."""
    new = lab.folder / "lab.json.new"
    new.write_text(json.dumps(asdict(lab), default=str, indent=1) + "\n")
    os.replace(new, lab.folder / "lab.json")  # noqa: PTH105 - atomic


def load(folder: Path) -> Lab | None:
    """Read a lab's state; None if the folder has none.

    Raises:
        UserError: lab.json is not a lab's state.
    """
    try:
        text = (folder / "lab.json").read_text()
    except FileNotFoundError:
        return None
    try:
        return _lab(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{folder}/lab.json is not the state of a lab: {error}") from None


def _lab(fields: dict[str, Any]) -> Lab:
    fields["folder"] = Path(fields["folder"])
    fields["cluster_file"] = Path(fields["cluster_file"])
    fields["hosts"] = tuple(LabHost(**host) for host in fields["hosts"])
    fields["shown"] = tuple(fields["shown"])
    return Lab(**fields)
