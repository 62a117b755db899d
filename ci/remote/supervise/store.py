"""Small files that are written whole or not at all, and what this host calls itself and now."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Set

    State = Dict[str, Any]
else:
    State = dict

MOST_STATE_BYTES = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_DEEP = 100  # folders that are open at a time while a tree is removed
STATE = ".lamplighter"  # in a workspace: below it a folder per host, then run, then process
LONGEST_HOST = 40


def now_text() -> str:
    """Give the time in UTC."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03d+00:00" % (now % 1 * 1000)


def boot_id() -> str:
    """Tell this boot of the host from the next one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def host_folder(nodename: str, machine_id: str) -> str:
    """Name a host's folder below `STATE`, for hosts may share a workspace, on NFS for example.

    It consists of the kernel's hostname and the first 8 characters of the machine id. Hostnames
    alone are equal on hosts that were never named, and machine ids alone on clones of an image. The
    boot id changes at a reboot, but `inv down` must find the state of a run from before it. A
    cluster file's name is one controller's; another controller may use another name.

    Args:
        nodename: as uname(2) gives it.
        machine_id: content of /etc/machine-id; empty where there is none.
    """
    plain = "".join(
        letter if letter in "._-" or (letter.isascii() and letter.isalnum()) else "_"
        for letter in nodename
    )
    digits = "".join(filter(str.isalnum, machine_id))[:8]
    name = plain.lstrip(".-")[: LONGEST_HOST - 9] or "host"
    return "%s-%s" % (name, digits) if digits.isascii() and digits else name


def host_name() -> str:
    """Name this host as its folder in a workspace is named."""
    try:
        with open("/etc/machine-id", "rb") as file:
            machine_id = file.read(64).decode("ascii", "replace")
    except OSError:
        machine_id = ""
    return host_folder(os.uname().nodename, machine_id)


def state_folder(workspace: str) -> str:
    """Give this host's own folder for the state of runs."""
    return os.path.join(workspace, STATE, host_name())


def write_json(path: str, value: object) -> None:
    """Write a file whole or not at all, readable only by its owner."""
    part = f"{path}.{os.getpid()}.part"
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(value).encode() + b"\n")
        os.replace(part, path)
    except OSError:
        if os.path.exists(part):
            os.unlink(part)
        raise


def read_json(path: str) -> State:
    """Read an object; empty when there is none to read: what a server runs may write there, too."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            seen = os.fstat(file.fileno())
            whole = stat.S_ISREG(seen.st_mode) and seen.st_size <= MOST_STATE_BYTES
            value = json.loads(file.read(MOST_STATE_BYTES)) if whole else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def temporary_folders() -> str:
    """Give the folder in which every process gets one of its own."""
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - names in it cannot be guessed


def mark_of(folder: str) -> str:
    """Give eight digits that stand for a process's folder where names must be short."""
    return "%08x" % (int.from_bytes(folder.encode(), "big") % 4294967291)


def temporary_folder(folder: str) -> str:
    """Make a temporary folder for the process that has this folder."""
    name = "lamplighter-" + mark_of(folder) + os.urandom(6).hex()
    made = os.path.join(temporary_folders(), name)
    os.mkdir(made, 0o700)
    return made


def remove_temporary(folder: str) -> None:
    """Remove what `temporary_folder` made for a process: found by name, no file names it."""
    above, start = temporary_folders(), "lamplighter-" + mark_of(folder)
    with contextlib.suppress(OSError):
        for name in os.listdir(above):
            path = os.path.join(above, name)
            if name.startswith(start) and os.lstat(path).st_uid == os.geteuid():
                remove(path)


def remove(folder: str) -> None:
    """Remove a folder with all that is in it, as far as that can be done, however deep it is.

    Leaves file systems that are mounted in it, and follows no link, not even one that takes the
    place of a folder meanwhile.
    """
    try:
        os.rmdir(folder)  # a temporary one is mostly empty
    except OSError:
        pass
    else:
        return
    with contextlib.suppress(OSError, RecursionError):
        mounted = mount_points()
        top = os.path.realpath(folder)
        if top not in mounted:
            handle = os.open(folder, FOLDER)
            try:
                while _empty(handle, top, mounted, handle):
                    pass
            finally:
                os.close(handle)
            os.rmdir(folder)


def _empty(handle: int, path: str, mounted: Set[str], top: int, depth: int = 0) -> bool:
    """Empty an open folder; what lies too deep is moved up to `top`, and True says so."""
    moved = False
    with os.scandir(handle) as found:
        entries = list(found)
    for entry in entries:
        inside = os.path.join(path, entry.name)
        with contextlib.suppress(OSError):
            if inside in mounted:
                continue
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.name, dir_fd=handle)
            elif depth < MOST_DEEP or any(each.startswith(inside + "/") for each in mounted):
                below = os.open(entry.name, FOLDER, dir_fd=handle)
                try:
                    moved |= _empty(below, inside, mounted, top, depth + 1)
                finally:
                    os.close(below)
                os.rmdir(entry.name, dir_fd=handle)
            else:
                os.rename(entry.name, os.urandom(8).hex(), src_dir_fd=handle, dst_dir_fd=top)
                moved = True
    return moved


def mount_points() -> Set[str]:
    """List where file systems are mounted; proc(5) has blanks and backslashes in octal."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ", 5)[4] for line in file]
    escaped = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))
    for code, letter in escaped:
        fields = [field.replace(code, letter) for field in fields]
    return set(map(os.fsdecode, fields))
