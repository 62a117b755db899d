"""Make and end labs. A lab's folder is enough to find everything that belongs to it."""

from __future__ import annotations

import os
import platform
import pwd
import re
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, LamplighterError, UserError
from ci.lab import loopback, namespaces, network
from ci.lab.debian_root import DEBIAN, root_of
from ci.lab.lock import machine_lock
from ci.lab.model import Lab, LabHost, load, save
from ci.lab.programs import need_programs
from ci.lab.run_tool import run_tool
from ci.lab.sshd import last_log_line, path_with_python, write_host_files, write_keys

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
FILES = ("identity", "identity.pub", "known_hosts", "lab.json.new", "lab.json")


def up(  # noqa: PLR0913 - each is a plain choice
    folder: Path,
    count: int,
    *,
    name: str = "lab",
    cluster_file: Path,
    workspace: str = "",
    disk_mb: int = 0,
    shown: Sequence[Path] = (),
    shared_home: Path | None = None,
    root: bool | None = None,
    machine: str = "",
    debian: str = "",
) -> Lab:
    """Make hosts on this machine, and a cluster file that lists them.

    As root, each host has its own address, PIDs, hostname and root: it sees all files of this
    machine except /tmp, /run and /var/tmp, and its writes stay in its own memory disk. Without
    root, each host is an sshd of this user on a loopback address, with its own workspace.

    Args:
        folder: folder for keys, logs and state; made if missing.
        count: number of hosts, at most 250.
        name: unique among the labs that are up here; hosts are named `<name>-1`, `<name>-2`, ….
        cluster_file: path of the cluster file to write; `down` removes it.
        workspace: workspace of every host; empty takes the default. As root only.
        disk_mb: disk size of each host in MB; 0 for half of this machine's memory. As root only.
        shown: folders under /tmp or /run that hosts can see. As root only.
        shared_home: folder that all hosts write to, as a home on NFS; the default workspace is
            below it. As root only.
        root: False makes the lab of a plain user even as root; None depends on the user.
        machine: architecture of the hosts, as `uname -m` prints it, e.g. aarch64; this machine
            emulates another one than its own. The hosts have a bare Debian then, and see no file
            of this machine except `shown`. As root only.
        debian: Debian release of such hosts, e.g. trixie.

    Raises:
        UserError: a lab of that name is up; the name, count or cluster file is invalid; or
            programs are missing.
        InfrastructureError: the lab could not be made; its parts were removed.
    """
    as_root = os.geteuid() == 0 if root is None else root
    folder, cluster_file = folder.absolute(), cluster_file.absolute()
    _check(name, count, cluster_file)
    need_programs(as_root)
    base = _base(machine, debian, as_root=as_root)
    with machine_lock():
        _remove_old(folder, name, as_root=as_root)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lab = _planned(Lab(
            name=name, folder=folder.resolve(), cluster_file=cluster_file, root=as_root,
            user="root" if as_root else _user(), port=22, hosts=(),
            workspace=workspace or (f"{shared_home}/.cache/lamplighter" if shared_home else ""),
            shared_home=str(shared_home or ""), disk_mb=disk_mb,
            path="" if base else path_with_python(), machine=machine, base=base,
            shown=tuple(str(path.resolve()) for path in shown),
        ), count)  # fmt: skip
        save(lab)
        try:
            _make(lab)
        except BaseException as error:
            _remove_after(error, lab)
            raise
    return lab


def _base(machine: str, debian: str, *, as_root: bool) -> str:
    if not machine and not debian:
        return ""
    if not as_root:
        raise UserError("hosts with another root than this machine's need a lab made as root")
    return str(root_of(machine or platform.machine(), debian or DEBIAN))


def _remove_after(error: BaseException, lab: Lab) -> None:
    """Remove a lab that could not be made; the first error stays visible if that fails too."""
    try:
        _remove(lab)
    except LamplighterError as left:
        if isinstance(error, InfrastructureError):
            raise InfrastructureError(f"{error}; and removing the lab failed: {left}") from error


def down(folder: Path) -> bool:
    """End a lab of any process, and remove all its parts. Idempotent.

    Returns:
        Whether the folder had a lab.

    Raises:
        UserError: the lab was made as root, and this user is not root.
        InfrastructureError: something could not be removed.
    """
    lab = load(folder.absolute())
    if lab is None:
        return False
    if lab.root and os.geteuid() != 0:
        raise UserError(f"lab {lab.name} was made as root; end it as root: sudo inv lab.down")
    with machine_lock():
        _remove(lab)
    return True


def check_name(name: str) -> None:
    """Refuse an invalid lab name, because names become parts of paths.

    Raises:
        UserError: the name is invalid.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r}: expected a lab name of a-z, 0-9 and -, at most 32 characters")


def _check(name: str, count: int, cluster_file: Path) -> None:
    check_name(name)
    if not 1 <= count <= network.MAX_HOSTS:
        raise UserError(f"{count} hosts: expected 1 to {network.MAX_HOSTS}")
    if cluster_file.exists() and not cluster_file.read_bytes().startswith(_FIRST_LINE.encode()):
        raise UserError(f"{cluster_file} belongs to no lab; choose another name, or move the file")


def _remove_old(folder: Path, name: str, *, as_root: bool) -> None:
    old = load(folder)
    if old is None and as_root:
        probe = Lab(name, folder, folder, root=True, user="root", port=22, hosts=())
        owner = network.owner_of(probe)
        old = load(owner) if owner else None
        if old is None:  # links or namespaces of a lab whose folder was deleted
            namespaces.end_hosts(probe)
    if old is None:
        return
    if is_up(old):
        raise UserError(f"lab {old.name} is up, in {old.folder}; end it first: inv lab.down")
    _remove(old)


def is_up(lab: Lab) -> bool:
    """Return whether any host of a lab is alive."""
    alive = namespaces.first_process if lab.root else loopback.listener
    return any(alive(lab, host.name) is not None for host in lab.hosts)


def _planned(lab: Lab, count: int) -> Lab:
    numbers = range(1, count + 1)
    if lab.root:
        subnet = network.free_subnet()
        addresses = [network.address(subnet, index) for index in numbers]
        lab = replace(lab, subnet=subnet)
    else:
        addresses = [f"127.0.0.{index + 1}" for index in numbers]
        lab = replace(lab, port=loopback.free_port(addresses))
    hosts = (LabHost(f"{lab.name}-{i}", i, addresses[i - 1]) for i in numbers)
    return replace(lab, hosts=tuple(hosts))


def _user() -> str:
    return pwd.getpwuid(os.getuid()).pw_name


def _make(lab: Lab) -> None:
    write_keys(lab)
    if lab.root:
        namespaces.make_hosts(lab)
    else:
        for host in lab.hosts:
            write_host_files(lab, host.name, loopback.mark(lab))
        loopback.make_hosts(lab)
    _check_login(lab)
    lab.cluster_file.parent.mkdir(parents=True, exist_ok=True)
    lab.cluster_file.write_text(cluster_text(lab))


def _check_login(lab: Lab) -> None:
    # An sshd that listens may still refuse: a locked account, or a firewall.
    first = lab.hosts[0]
    known = f"UserKnownHostsFile={lab.known_hosts}"
    login = ["ssh", "-F", "none", "-n", "-i", str(lab.identity), "-o", known, "-o", "BatchMode=yes"]
    target = ["-o", "ConnectTimeout=10", "-p", str(lab.port), f"{lab.user}@{first.address}"]
    try:
        run_tool([*login, *target, "exec python3 -ISBc 0"])
    except InfrastructureError as error:
        raise InfrastructureError(f"{error}; sshd: {last_log_line(lab, first.name)}") from None


def _remove(lab: Lab) -> None:
    (namespaces if lab.root else loopback).end_hosts(lab)
    if lab.cluster_file.exists() and lab.cluster_file.read_bytes().startswith(
        _header(lab).encode()
    ):
        lab.cluster_file.unlink()
    if (lab.folder / "hosts").exists():
        shutil.rmtree(lab.folder / "hosts")
    for name in FILES:
        (lab.folder / name).unlink(missing_ok=True)
    if lab.folder.exists() and not any(lab.folder.iterdir()):
        lab.folder.rmdir()


_FIRST_LINE = "# Written by `inv lab.up`; `inv lab.down` removes it."


def _header(lab: Lab) -> str:
    return f"{_FIRST_LINE} Lab {lab.name} in {lab.folder}.\n"


def cluster_text(lab: Lab) -> str:
    """Return the text of a lab's cluster file."""
    lines = [
        "defaults:",
        f"  user: {lab.user}",
        f"  port: {lab.port}",
        f"  identity: {lab.identity}",
        f"  known_hosts: {lab.known_hosts}",
        *([f"  workspace: {lab.workspace}"] if lab.workspace and lab.root else ()),
        "hosts:",
    ]
    for host in lab.hosts:
        own = "" if lab.root else f", workspace: {lab.home(host.name)}/workspace"
        lines.append(f"  {host.name}: {{address: {host.address}{own}}}")
    return _header(lab) + "\n".join(lines) + "\n"


__all__ = ["Lab", "LabHost", "check_name", "down", "is_up", "load", "up"]
