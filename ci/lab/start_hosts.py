"""Start lab hosts as child processes with their own mounts, PIDs, hostname, network and sshd.

A separate program (`python start_hosts.py < specs`), standard library only, because it forks and
changes namespaces, which a process with threads must not do. Exits when every host has started.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import sys
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import quote

# Linux headers: sched.h, mount.h, sockios.h, prctl.h.
NEW_MOUNTS, NEW_NAMES, NEW_IPC, NEW_PIDS = 0x20000, 0x4000000, 0x8000000, 0x20000000
NOSUID, NODEV, NOEXEC, BIND, REC, PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
DETACH = 2
SET_FLAGS, SET_ADDRESS, SET_MASK, UP = 0x8914, 0x8916, 0x891C, 1
DIE_WITH_PARENT = 1

LIBC = ctypes.CDLL(None, use_errno=True)

# A restart ends sshd but not the host: process 1 starts sshd again and reaps orphans.
FIRST_PROCESS = """
while :; do
  while [ -e /run/lab/hold ]; do sleep 0.1; done
  "$0" -D -e -f /run/lab/sshd_config
  sleep 0.05
done
"""


def call(name: str, *arguments: object) -> None:
    """Call a libc function; strings are passed as bytes.

    Raises:
        OSError: the call failed; has its name and arguments.
    """
    packed = [item.encode() if isinstance(item, str) else item for item in arguments]
    if getattr(LIBC, name)(*packed) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}{arguments}: {os.strerror(number)}")


def attach(source: str, target: Path, kind: str | None, flags: int = 0, data: str = "") -> None:
    """Mount a file system; see mount(2) for the arguments."""
    call("mount", source, str(target), kind, ctypes.c_ulong(flags), data)


def make_disk(host: dict[str, Any]) -> None:
    """Mount a host's disk: a tmpfs of this machine, which survives a crash of the host."""
    disk = Path(host["home"], "disk")
    disk.mkdir(exist_ok=True)
    if host["empty"] and disk.is_mount():
        call("umount2", str(disk), DETACH)
    if not disk.is_mount():
        size = f"size={host['disk_mb']}m," if host["disk_mb"] else ""
        attach("lamplighter-lab", disk, "tmpfs", 0, f"{size}mode=755")


def start(host: dict[str, Any], shared: dict[str, Any]) -> None:
    """Enter the host's network, make its other namespaces and fork process 1; runs in a child."""
    call("prctl", DIE_WITH_PARENT, signal.SIGKILL)
    with Path("/run/netns", host["netns"]).open() as network:
        call("setns", network.fileno(), 0)
    call("unshare", NEW_MOUNTS | NEW_NAMES | NEW_IPC | NEW_PIDS)
    # Both share a mount namespace: this process must write before the child changes its root.
    go_read, go_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(go_write)
        os.read(go_read, 1)
        become(host, shared)
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    Path(host["home"], "pid").write_text(f"{pid} {ticks}\n")


def become(host: dict[str, Any], shared: dict[str, Any]) -> None:
    """Become process 1 of a host; never returns."""
    os.setsid()
    log = os.open(f"{host['home']}/sshd.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.closerange(3, 1024)
    try:
        attach("none", Path("/"), None, REC | PRIVATE)
        socket.sethostname(host["name"])
        bring_up_network(host)
        root = make_root(host, shared)
        enter(root)
        environment = {"PATH": shared["path"], "HOME": "/root", "USER": "root", "SHELL": "/bin/sh"}
        os.execve(  # noqa: S606 - a shell on purpose
            "/bin/sh", ["sh", "-c", FIRST_PROCESS, shared["sshd"], host["netns"]], environment
        )
    except OSError as error:
        print(f"host {host['name']} cannot start: {error}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(1)


def bring_up_network(host: dict[str, Any]) -> None:
    """Set the addresses of lo and eth0 by ioctl, which is faster than running `ip`."""
    disable_ipv6 = Path("/proc/sys/net/ipv6/conf/eth0/disable_ipv6")
    if disable_ipv6.exists():  # IPv6 announcements of 128 hosts take seconds
        disable_ipv6.write_text("1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, value in ((SET_ADDRESS, host["address"]), (SET_MASK, host["netmask"])):
            address = struct.pack("16sHH4s8x", b"eth0", 2, 0, socket.inet_aton(value))
            fcntl.ioctl(control, request, address)
        for name in (b"lo", b"eth0"):
            fcntl.ioctl(control, SET_FLAGS, struct.pack("16sH14x", name, UP))


def make_root(host: dict[str, Any], shared: dict[str, Any]) -> Path:
    """Mount the host's `/`: the files of its base, with writes on the host's disk."""
    home = Path(host["home"])
    upper, root = home / "disk/upper", home / "root"
    for folder in (upper, home / "disk/work", root):
        folder.mkdir(exist_ok=True)
    for volatile in ("run", "tmp"):
        shutil.rmtree(upper / volatile, ignore_errors=True)
    for path in shared["fresh"]:
        if not any(path.startswith(f"{other}/") for other in shared["mounts"]):
            hide(upper, path)
    write_own_files(host, shared, upper)
    overlay(shared["base"], home / "disk", root)
    for path in shared["mounts"]:
        show(path, home / "disk/shown" / quote(path, safe=""), root, shared["fresh"])
    for path in shared["shared"]:
        target = Path(f"{root}{path}")
        target.mkdir(parents=True, exist_ok=True)
        attach(path, target, None, BIND)
    mount_system(host, root)
    if shared["emulator"]:
        register(shared["emulator"], root)
    return root


def hide(upper: Path, path: str, top: str = "/") -> None:
    """Hide this machine's content of a folder: the host sees the folder empty."""
    folder = in_layer(upper, path, top)
    if os.path.lexists(folder):
        return
    folder.mkdir()
    copy_owner(Path(path), folder)
    os.setxattr(folder, "trusted.overlay.opaque", b"y")


def in_layer(upper: Path, path: str, top: str = "/") -> Path:
    """Make a path's parents in the host's layer over `top`, and return the path in the layer."""
    inside = Path(path).relative_to(top)
    for parent in reversed(inside.parents[:-1]):
        if not (upper / parent).exists():
            (upper / parent).mkdir()
            copy_owner(Path(top, parent), upper / parent)
    return upper / inside


def copy_owner(path: Path, target: Path) -> None:
    """Copy owner and mode of a path to a target; does nothing if the path does not exist."""
    try:
        status = path.stat()
    except OSError:
        return
    os.chown(target, status.st_uid, status.st_gid)
    target.chmod(status.st_mode & 0o7777)


def write_own_files(host: dict[str, Any], shared: dict[str, Any], upper: Path) -> None:
    """Write the files that differ between hosts, and sshd's files."""
    shutil.copytree(Path(host["home"], "etc"), upper / "run/lab")
    in_layer(upper, "/run/sshd").mkdir(mode=0o755)
    in_layer(upper, "/etc/hostname").write_text(host["name"] + "\n")
    in_layer(upper, "/etc/hosts").write_text(shared["etc_hosts"])
    identity = uuid.uuid5(uuid.NAMESPACE_DNS, host["netns"])
    in_layer(upper, "/etc/machine-id").write_text(identity.hex + "\n")
    Path(host["home"], "boot_id").write_text(f"{uuid.uuid4()}\n")
    if Path("/root/.bashrc").exists():  # a bare host does not have the operator's settings
        in_layer(upper, "/root/.bashrc").write_text("")
    shadow = Path(shared["base"], "etc/shadow")
    accounts = shadow.read_text() if shadow.exists() else ""
    if accounts.startswith("root:!"):  # sshd without PAM refuses a locked account
        shadow = in_layer(upper, "/etc/shadow")
        shadow.write_text("root:*:" + accounts.split(":", 2)[2])
        shadow.chmod(0o600)


def overlay(lower: str, disk: Path, target: Path) -> None:
    """Mount a folder of this machine with a host's layer over it."""
    layers = f"lowerdir={lower},upperdir={disk}/upper,workdir={disk}/work"
    attach("overlay", target, "overlay", 0, layers)


def show(path: str, layer: Path, root: Path, fresh: list[str]) -> None:
    """Show another file system of this machine to a host, with separate writes if possible."""
    target = Path(f"{root}{path}")
    try:
        if Path(path).is_dir():
            target.mkdir(parents=True, exist_ok=True)
            for part in ("upper", "work"):
                (layer / part).mkdir(parents=True, exist_ok=True)
            for folder in fresh:
                if folder.startswith(f"{path}/"):
                    hide(layer / "upper", folder, path)
            overlay(path, layer, target)
            return
        target.touch()
        attach(path, target, None, BIND)
    except OSError as error:
        print(f"host does not see {path}: {error}", file=sys.stderr)  # noqa: T201


def mount_system(host: dict[str, Any], root: Path) -> None:
    """Mount /dev, /proc and /sys as on a separate host."""
    attach("/dev", root / "dev", None, BIND)
    for folder in ("shm", "pts"):
        (root / "dev" / folder).mkdir(exist_ok=True)
    attach("tmpfs", root / "dev/shm", "tmpfs", NOSUID | NODEV, "mode=1777")
    attach("devpts", root / "dev/pts", "devpts", NOSUID | NOEXEC, "newinstance,ptmxmode=0666")
    attach("proc", root / "proc", "proc", NOSUID | NODEV | NOEXEC)
    # All hosts share this kernel, so each needs its own boot id to show reboots.
    boot_id = root / "proc/sys/kernel/random/boot_id"
    attach(f"{host['home']}/boot_id", boot_id, None, BIND)
    attach("sysfs", root / "sys", "sysfs", NOSUID | NODEV | NOEXEC)
    if (root / "sys/fs/cgroup").is_dir():
        attach("/sys/fs/cgroup", root / "sys/fs/cgroup", None, BIND | REC)


def register(emulator: str, root: Path) -> None:
    """Let the kernel run programs of the host's architecture; see binfmt_misc in Linux's documents.

    Since Linux 6.7 the entry ends with the last mount, which is the last host's.
    """
    folder = root / "proc/sys/fs/binfmt_misc"
    attach("binfmt_misc", folder, "binfmt_misc", NOSUID | NODEV | NOEXEC)
    if not (folder / emulator.split(":")[1]).exists():
        with contextlib.suppress(FileExistsError):  # another host of the lab was first
            (folder / "register").write_text(emulator)


def enter(root: Path) -> None:
    """Make a folder the root and unmount the old root (pivot_root(2), NOTES)."""
    os.chdir(root)
    call("pivot_root", ".", ".")
    call("umount2", ".", DETACH)
    os.chdir("/")


def main() -> int:
    """Start every host that standard input describes; return 1 if any could not start."""
    call("prctl", DIE_WITH_PARENT, signal.SIGKILL)
    shared = json.load(sys.stdin)
    children = []
    for host in shared["hosts"]:
        make_disk(host)
        pid = os.fork()
        if pid == 0:
            try:
                start(host, shared)
            except OSError as error:
                print(f"{host['name']}: {error}", file=sys.stderr, flush=True)  # noqa: T201
                os._exit(1)
            os._exit(0)
        children.append(pid)
    return int(any(os.waitpid(pid, 0)[1] for pid in children))


if __name__ == "__main__":
    sys.exit(main())
