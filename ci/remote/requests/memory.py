"""Read the evidence of the out-of-memory killer since the agent began, and the free memory."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # this is imported when an agent starts, and `typing` costs it 3 ms
    from typing import Dict, List, Optional

DMESG_S = 5
MOST_KILLS = 5


def counters() -> Dict[str, Optional[int]]:
    """Read how many processes the out-of-memory killer ended: host-wide, and in the cgroup."""
    cgroup = value_of("/proc/self/cgroup", "0::", "")
    events = "/sys/fs/cgroup%s/memory.events" % cgroup if cgroup else ""
    return {
        "host": number_of("/proc/vmstat", "oom_kill "),
        "cgroup": number_of(events, "oom_kill ") if events else None,
    }


def evidence() -> Dict[str, object]:
    """Compare the counters with those at the start of the agent, and read the kernel's log.

    Returns:
        `kills`: the difference of each counter, None if unknown; `killed`: `PID (NAME)` from the
        kernel's log since then, None if it cannot be read; `available` and `total` memory in KiB,
        None if unknown.
    """
    kills = {}  # type: Dict[str, Optional[int]]
    for name, now in counters().items():
        before = BEGAN[name]
        kills[name] = None if now is None or before is None else now - before
    return {
        "kills": kills,
        "killed": killed(BEGAN_UPTIME_S),
        "available": number_of("/proc/meminfo", "MemAvailable:"),
        "total": number_of("/proc/meminfo", "MemTotal:"),
    }


def killed(since_s: float) -> Optional[List[str]]:
    """List the out-of-memory kills in the kernel's log since an uptime."""
    import subprocess  # noqa: PLC0415 - seldom needed; `workers.py` has imported it

    try:
        log = subprocess.run(
            ["dmesg"], stdin=subprocess.DEVNULL, capture_output=True, timeout=DMESG_S, check=True
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.SubprocessError):
        return None
    names = []
    for line in log.splitlines():
        stamp, _, text = line.partition("]")
        name = text.partition("Killed process ")[2].partition(")")[0]
        try:
            at_s = float(stamp.strip("[ "))
        except ValueError:
            continue
        if name and at_s >= since_s:
            names.append(name + ")")
    return names[-MOST_KILLS:]


def value_of(path: str, start: str, default: str) -> str:
    """Return the rest of the first line that begins with `start`."""
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(start):
                    return line[len(start) :].strip()
    except OSError:
        pass
    return default


def number_of(path: str, start: str) -> Optional[int]:
    """Return the number after `start`; None if there is no number."""
    word = value_of(path, start, "").split()[:1]
    return int(word[0]) if word and word[0].isdigit() else None


BEGAN = counters()
BEGAN_UPTIME_S = time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
