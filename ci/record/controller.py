"""Identify the machine and the process that run a night, and tell whether it is alive."""

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
START_TICKS = 19  # index among the fields after the command in /proc/<pid>/stat

Liveness = Literal["ended", "running", "abandoned", "elsewhere"]


def identity() -> dict[str, object]:
    """Return a unique identity of this process, also after a reboot or if a PID is used again."""
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "boot_id": _boot_id(),
        "start_ticks": _start_ticks(os.getpid()),
    }


def liveness(run: Run) -> Liveness:
    """Return the state of the controller of a run.

    Returns:
        `ended` if the run has an outcome; `running` while its controller is alive; `abandoned` if
        the controller has died; `elsewhere` if another machine wrote the record.
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
    """Return the versions of lamplighter, Python, the kernel and the CPU."""
    return {
        "lamplighter": _own_version(),
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": f"{os.cpu_count()} × {_cpu_model()}",
    }


def user() -> str:
    """Return the user's name; the number if there is no account entry, as in a container."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def owner() -> str:
    """Return the user and this machine, as `user@host`."""
    return f"{user()}@{platform.node()}"


def project_commit() -> str | None:
    """Return the commit of the project's working tree, `-dirty` if changed; None without git."""
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
    """Return the start of a process in clock ticks since boot; 0 if it has ended or is a zombie."""
    # The command is in parentheses, and may contain spaces and parentheses.
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
