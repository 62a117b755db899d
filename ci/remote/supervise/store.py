"""Files that are written atomically, and temporary folders."""

from __future__ import annotations

import os
import stat
import time

from ci.remote.lean import json, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Set

    State = Dict[str, Any]
else:
    State = dict

MOST_STATE_BYTES = 1 << 20
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MOST_DEEP = 100  # folders that are open at a time while a tree is removed


def now_text() -> str:
    """Return the time in UTC."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03d+00:00" % (now % 1 * 1000)


def boot_id() -> str:
    """Return the id of this boot of the host."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


def write_json(path: str, value: object) -> None:
    """Write a file atomically, readable only by its owner."""
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
    """Read an object; empty if the file is missing or invalid. A server may have written it."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            seen = os.fstat(file.fileno())
            whole = stat.S_ISREG(seen.st_mode) and seen.st_size <= MOST_STATE_BYTES
            value = json.loads(file.read(MOST_STATE_BYTES)) if whole else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def temporary_folders() -> str:
    """Return the folder in which each process gets its own temporary folder."""
    return os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - names in it cannot be guessed


def mark_of(folder: str) -> str:
    """Return eight digits that stand for a process's folder in short names."""
    return "%08x" % (int.from_bytes(folder.encode(), "big") % 4294967291)


def temporary_folder(folder: str) -> str:
    """Make a temporary folder for the process with this folder."""
    name = "lamplighter-" + mark_of(folder) + os.urandom(6).hex()
    made = os.path.join(temporary_folders(), name)
    os.mkdir(made, 0o700)
    return made


def remove_temporary(folder: str) -> None:
    """Remove the folder that `temporary_folder` made for a process, which its name shows."""
    above, start = temporary_folders(), "lamplighter-" + mark_of(folder)
    with suppress(OSError):
        for name in os.listdir(above):
            path = os.path.join(above, name)
            if name.startswith(start) and os.lstat(path).st_uid == os.geteuid():
                remove(path)


def remove(folder: str) -> None:
    """Remove a folder and its content, as far as possible, however deep it is.

    Does not touch file systems that are mounted in it, and follows no link, not even a link that
    replaces a folder meanwhile.
    """
    try:
        os.rmdir(folder)  # a temporary folder is usually empty
    except OSError:
        pass
    else:
        return
    with suppress(OSError, RecursionError):
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
        with suppress(OSError):
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
    """List the mount points; proc(5) writes blanks and backslashes in octal."""
    with open("/proc/self/mountinfo", "rb") as file:
        fields = [line.split(b" ", 5)[4] for line in file]
    escaped = ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\"))
    for code, letter in escaped:
        fields = [field.replace(code, letter) for field in fields]
    return set(map(os.fsdecode, fields))
