"""The kernel's limits for a process of this user: locked memory, open files, huge pages."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Dict, Optional

_IPC_LOCK = 14  # the capability that lifts the limit of locked memory; see capabilities(7)
_ROWS = {"Max locked memory": "memlock_bytes", "Max open files": "open_files"}


def limits() -> Dict[str, Optional[int]]:
    """Read the soft limits, and the hard limit as `open_files_most`; null without a limit."""
    values: Dict[str, Optional[int]] = {}
    with open("/proc/self/limits") as file:
        for line in file:
            name = _ROWS.get(line[:26].strip())
            if name:
                soft, hard = line[26:].split()[:2]
                values[name] = int(soft) if soft.isdigit() else None
                values[name + "_most"] = int(hard) if hard.isdigit() else None
    if _locks_without_limit():
        values["memlock_bytes"] = None
    return values


def _locks_without_limit() -> bool:
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("CapEff:"):
                return bool(int(line.split()[1], 16) >> _IPC_LOCK & 1)
    return False


def huge_pages() -> Dict[str, int]:
    """Read the number of huge pages of the default size, `free` and `total`."""
    counts: Dict[str, int] = {}
    with open("/proc/meminfo") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in ("HugePages_Total", "HugePages_Free"):
                counts[name[len("HugePages_") :].lower()] = int(value)
    return counts
