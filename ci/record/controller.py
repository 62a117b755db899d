"""The machine and the process that run a night: who they are, and whether they still live."""

from __future__ import annotations

import getpass
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from ci.record.model import Run

PROJECT = Path(__file__).resolve().parents[2]
GIT_DEADLINE_S = 10
START_TICKS = 19  # of the fields after the command in /proc/<pid>/stat, which start at the third

Liveness = Literal["ended", "running", "abandoned", "elsewhere"]


def identity() -> dict[str, object]:
    """Give what tells this process from any other, also after a reboot and when pids come round."""
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "boot_id": _boot_id(),
        "start_ticks": _start_ticks(os.getpid()),
    }


def liveness(run: Run) -> Liveness:
    """Say whether a run is still going, as its record has it.

    Returns:
        `ended` when it has an outcome; `running` while its controller lives; `abandoned` when the
        controller is gone without a word; `elsewhere` when another machine wrote the record.
    """
    if run.outcome != "running":
        return "ended"
    controller = run.controller
    if controller.host != platform.node():
        return "elsewhere"
    if controller.boot_id != _boot_id():
        return "abandoned"
    started = _start_ticks(controller.pid)
    return "running" if started and started == controller.start_ticks else "abandoned"


def versions() -> dict[str, str]:
    """Give the versions of what runs here: lamplighter, Python, the kernel, the CPU."""
    return {
        "lamplighter": _own_version(),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{os.cpu_count()} × {_cpu_model()}",
    }


def user() -> str:
    """Name the user, or give the number of one without an account entry (in a container)."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def owner() -> str:
    """Name the user and the machine that they run things from."""
    return f"{user()}@{platform.node()}"


def project_commit() -> str | None:
    """Give the commit of the project's working tree, `-dirty` when changed; None without git."""
    if not (PROJECT / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command,
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=GIT_DEADLINE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def _own_version() -> str:
    try:
        return version("lamplighter")
    except PackageNotFoundError:
        return "not installed"


def _boot_id() -> str:
    return _read("/proc/sys/kernel/random/boot_id").strip()


def _start_ticks(pid: int) -> int:
    """Read when a process started, in clock ticks since boot; 0 when it is gone or a zombie."""
    # The command comes in parentheses and may hold spaces and parentheses itself.
    after_command = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if not after_command or after_command[0] in {"Z", "X"}:
        return 0
    return int(after_command[START_TICKS])


def _cpu_model() -> str:
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
