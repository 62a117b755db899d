"""Small files that are written whole or not at all, and what this host calls itself and now."""

from __future__ import annotations

import json
import os
import time

from ci.remote.names import STATE, host_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict

    State = Dict[str, Any]
else:
    State = dict


def now_text() -> str:
    """Give the time in UTC."""
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + ".%03d+00:00" % (now % 1 * 1000)


def boot_id() -> str:
    """Tell this boot of the host from the next one."""
    with open("/proc/sys/kernel/random/boot_id") as file:
        return file.read().strip()


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
    """Read an object; empty when there is none to read."""
    try:
        with open(path, "rb") as file:
            value = json.loads(file.read())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def temporary_folder() -> str:
    """Make a folder of a process's own in the temporary one."""
    above = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - its name cannot be guessed
    folder = os.path.join(above, "lamplighter-" + os.urandom(6).hex())
    os.mkdir(folder, 0o700)
    return folder


def remove(folder: str) -> None:
    """Remove a folder with all that is in it, as far as that can be done."""
    try:
        os.rmdir(folder)  # a temporary one is mostly empty
    except OSError:
        pass
    else:
        return
    import shutil  # noqa: PLC0415 - takes longer to import than most of what runs here

    shutil.rmtree(folder, ignore_errors=True)
