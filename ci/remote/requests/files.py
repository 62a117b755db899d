"""Files that a controller brings to this host: what is there of them, and is it whole?"""

import contextlib
import hashlib
import os
import platform
import shutil
import subprocess
from typing import Any, Dict, List, Optional

from ci.remote.supervise.store import host_name

PIECE_BYTES = 1 << 20
# Of this host: others may write to the same folder, on NFS.
PART = ".%s.part" % host_name()
CHECK_S = 20


def digest(path: str, length: Optional[int] = None) -> Dict[str, Any]:
    """Read a file, or its first `length` bytes.

    Returns:
        `size`: bytes read, None if the file does not exist; `sha256` of them.
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
    """Say what is there of the files of a folder.

    Returns:
        `free`: bytes that we may still write on that file system; `files`: for each name, the size
        of the file and that of its unfinished part, None where there is none.

    Raises:
        OSError: a link on the way to a file leads out of the folder.
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
    """Make a folder, and tell it from those of other hosts: two that share it say the same."""
    os.makedirs(folder, exist_ok=True)
    seen = os.stat(folder)
    return "%d-%d" % (seen.st_ino, seen.st_ctime_ns)


def truncate_part(folder: str, name: str, length: int) -> str:
    """Keep the first `length` bytes of a file's unfinished part, which is made; gives its path."""
    part = safe_path(folder, name) + PART
    os.makedirs(os.path.dirname(part), exist_ok=True)
    safe_path(folder, name)  # again: now its parents exist
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(handle, length)
    finally:
        os.close(handle)
    return part


def commit_upload(  # noqa: PLR0913, PLR0917 - one request's arguments
    folder: str,
    name: str,
    length: int,
    sha256: str,
    mode: int,
    check: Optional[List[str]] = None,
) -> str:
    """Put an unfinished part in its place if it is what it should be; may be asked twice.

    Args:
        folder: below which it lies.
        name: of the file there.
        length: in bytes.
        sha256: of its content.
        mode: its permissions.
        check: arguments with which it has to run, if it is a program.

    Returns:
        What is wrong with it, in which case it is removed; empty when it is in its place.
    """
    path = safe_path(folder, name)
    part = path + PART
    wanted, found = {"size": length, "sha256": sha256}, digest(part)
    if found["size"] is None and digest(path) == wanted:
        return ""  # the answer to an earlier request was lost on the way
    wrong = "" if found == wanted else "what arrived is not what was sent"
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
    """Find a program that runs here, on the PATH or at `own`, and say what kind of machine this is.

    In a home that hosts of several architectures share, the PATH may have another one's program.

    Returns:
        `path`: empty where there is none; `machine` and `system`.
    """
    there = [path for path in (shutil.which(name), own) if path and os.access(path, os.X_OK)]
    found = next((path for path in there if not why_not_running([path, "--version"])), "")
    return {"path": found, "machine": platform.machine(), "system": platform.system()}


def safe_path(folder: str, name: str) -> str:
    """Give the path of a file below a folder; no link on the way may lead out of it."""
    path = os.path.normpath(os.path.join(folder, name))
    inside = os.path.realpath(folder)
    parent = os.path.realpath(os.path.dirname(path))
    if parent != inside and not parent.startswith(inside.rstrip("/") + "/"):
        raise OSError("%s leads out of %s, to %s" % (name, folder, parent))
    return path


def size_of(path: str) -> Optional[int]:
    """The size of a file; None where there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None


def sync(path: str, mode: int) -> None:
    """Set a file's permissions, and have it on the disk before it gets its name."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fchmod(handle, mode)
        os.fsync(handle)
    finally:
        os.close(handle)


def why_not_running(argv: List[str]) -> str:
    """Run a program; say why it does not work here, empty when it does."""
    try:
        ended = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=CHECK_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "it does not run: %s" % (getattr(error, "strerror", None) or "no end in time")
    last_line = ended.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return "" if ended.returncode == 0 else "it does not run: %s" % " ".join(last_line)
