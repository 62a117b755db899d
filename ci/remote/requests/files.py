"""Files that a controller sends to this host: their sizes, parts and digests."""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
from typing import Any, Dict, List, Optional

from ci.remote.supervise.host import own_name

PIECE_BYTES = 1 << 20
# With the name of this host: other hosts may write to the same folder on NFS.
PART = ".%s.part" % own_name()
CHECK_S = 20


def digest(path: str, length: Optional[int] = None) -> Dict[str, Any]:
    """Read a file, or its first `length` bytes.

    Returns:
        `size`: the bytes read, None if the file does not exist; `sha256`: their digest.
    """
    sha256, left = hashlib.sha256(), length
    try:
        with open(path, "rb") as file:
            while left is None or left > 0:
                piece = file.read(PIECE_BYTES if left is None else min(left, PIECE_BYTES))
                if not piece:
                    break
                sha256.update(piece)
                left = None if left is None else left - len(piece)
            read = file.tell()
    except FileNotFoundError:
        return {"size": None, "sha256": ""}
    return {"size": read, "sha256": sha256.hexdigest()}


def stat_files(folder: str, names: List[str]) -> Dict[str, Any]:
    """Return the sizes of files in a folder.

    Returns:
        `free`: the bytes that this user can still write to that file system; `files`: for each
        name, the size of the file and of its unfinished part, None if it does not exist.

    Raises:
        OSError: a link in the path of a file leads out of the folder.
    """
    paths = [safe_path(folder, name) for name in names]
    above = folder
    while not os.path.exists(above):
        above = os.path.dirname(above)
    space = os.statvfs(above)
    return {
        "free": space.f_bavail * space.f_frsize,
        "files": [[size_of(path), size_of(path + PART)] for path in paths],
    }


def make_folder(folder: str) -> str:
    """Make a folder, and return its identity, which is equal on hosts that share the folder."""
    os.makedirs(folder, exist_ok=True)
    status = os.stat(folder)
    return "%d-%d" % (status.st_ino, status.st_ctime_ns)


def truncate_part(folder: str, name: str, length: int) -> str:
    """Truncate the unfinished part of a file, or make it; return its path."""
    part = safe_path(folder, name) + PART
    os.makedirs(os.path.dirname(part), exist_ok=True)
    safe_path(folder, name)  # again: now its parents exist
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(handle, length)
    finally:
        os.close(handle)
    return part


def commit_upload(  # noqa: PLR0913, PLR0917 - the fields of a request
    folder: str,
    name: str,
    length: int,
    sha256: str,
    mode: int,
    check: Optional[List[str]] = None,
) -> str:
    """Rename an unfinished part to the file if its content is correct; idempotent.

    Args:
        folder: the folder.
        name: the name of the file in it.
        length: the expected size in bytes.
        sha256: the digest of the expected content.
        mode: the permissions.
        check: for a program, arguments with which it has to exit with 0.

    Returns:
        Why the part is refused and removed; empty if the file is complete.
    """
    path = safe_path(folder, name)
    part = path + PART
    expected, arrived = {"size": length, "sha256": sha256}, digest(part)
    if arrived["size"] is None and digest(path) == expected:
        return ""  # the reply to an earlier request was lost
    wrong = "" if arrived == expected else "what arrived is not what was sent"
    if not wrong:
        sync(part, mode)
        wrong = why_not_running([part, *check]) if check is not None else ""
    if wrong:
        with contextlib.suppress(OSError):
            os.unlink(part)
        return wrong
    os.replace(part, path)
    return ""


def program(name: str, own: str) -> Dict[str, Any]:
    """Find a program that runs here, on the PATH or at `own`, and describe the machine.

    If hosts of several architectures share a home, the PATH may have a program of another one.

    Returns:
        `path`: empty if the program is missing; `machine` and `system`.
    """
    there = [path for path in (shutil.which(name), own) if path and os.access(path, os.X_OK)]
    found = next((path for path in there if not why_not_running([path, "--version"])), "")
    return {"path": found, "machine": platform.machine(), "system": platform.system()}


def safe_path(folder: str, name: str) -> str:
    """Return the path of a file in a folder; raise OSError if a link leads out of the folder."""
    path = os.path.normpath(os.path.join(folder, name))
    inside = os.path.realpath(folder)
    parent = os.path.realpath(os.path.dirname(path))
    if parent != inside and not parent.startswith(inside.rstrip("/") + "/"):
        raise OSError("%s leads out of %s, to %s" % (name, folder, parent))
    return path


def size_of(path: str) -> Optional[int]:
    """Return the size of a file; None if it does not exist."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def sync(path: str, mode: int) -> None:
    """Set the permissions of a file, and write it to the disk before it gets its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def why_not_running(argv: List[str]) -> str:
    """Run a program; return why it does not work here, or empty."""
    try:
        ended = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "it does not run: %s" % (getattr(error, "strerror", None) or "no end in time")
    last_line = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return "" if ended.returncode == 0 else "it does not run: %s" % " ".join(last_line)
