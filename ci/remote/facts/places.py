"""Whether a run can write to its folders on this host, and which hosts share them. Read-only."""

from __future__ import annotations

import errno
import os

from ci.remote.lean import suppress
from ci.remote.supervise.host import STATE
from ci.remote.supervise.store import temporary_folders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, List, Optional

# Errors of a file system without unnamed files.
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


def find(workspace: str, folders: List[str]) -> List[Dict[str, Any]]:
    """Look at the workspace, the home, the temporary folder, and further temporary folders."""
    wanted = [("workspace", workspace), ("home", os.path.expanduser("~"))]
    wanted += [("temporary", temporary_folders()), *(("TMPDIR", folder) for folder in folders)]
    return [dict(look(path), purpose=purpose) for purpose, path in wanted]


def look(path: str) -> Dict[str, Any]:
    """Look at a folder, which need not exist.

    Returns:
        `path`, whether it `exists`, and `above`, the nearest folder that exists. For this folder:
        `error`, why it cannot be written to, or empty; `noexec`; `files`, the number of files that
        can still be created, null without a limit; and `free_bytes`.
    """
    above = path
    while not os.path.lexists(above):
        above = os.path.dirname(above) or "/"
    disk = os.statvfs(above) if os.path.exists(above) else None
    return {
        "path": path,
        "exists": os.path.exists(path),
        "above": above,
        "error": _why_not_written(above),
        "noexec": bool(disk and disk.f_flag & os.ST_NOEXEC),
        "files": disk.f_favail if disk and disk.f_files else None,
        "free_bytes": disk.f_bavail * disk.f_frsize if disk and disk.f_blocks else None,
    }


def _why_not_written(folder: str) -> str:
    if not os.path.isdir(folder):
        return os.strerror(errno.ENOTDIR if os.path.exists(folder) else errno.ENOENT)
    try:
        os.close(os.open(folder, os.O_WRONLY | os.O_TMPFILE, 0o600))
    except OSError as error:
        if error.errno not in _NO_UNNAMED:
            return error.strerror or str(error)
        if not os.access(folder, os.W_OK | os.X_OK):
            read_only = os.statvfs(folder).f_flag & os.ST_RDONLY
            return os.strerror(errno.EROFS if read_only else errno.EACCES)
    return ""


def sharing(workspace: str) -> Dict[str, Any]:
    """Return what shows that hosts share a workspace.

    Returns:
        `identity`, equal on hosts that share the folder, null if it does not exist; `hosts`, the
        names of the hosts with state in it.
    """
    state = os.path.join(workspace, STATE)
    hosts: List[str] = []
    identity: Optional[str] = None
    for folder in (workspace, state):
        try:
            status = os.stat(folder)
        except OSError:
            break
        identity = "%d-%d" % (status.st_ino, status.st_ctime_ns)
    with suppress(OSError):
        hosts = sorted(os.listdir(state))
    return {"identity": identity, "hosts": hosts}
