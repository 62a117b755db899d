"""Split the log of a pod into those of its processes. Pure.

A pod's program writes `[NAME] ` before each line of a process; see `pod_processes.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

# What the pod's program says itself, and lines before it began.
POD = "pod"


def by_process(text: str, names: Collection[str]) -> dict[str, str]:
    """Return process → its log; `pod` has the lines of no process.

    Args:
        text: the pod's log.
        names: the processes of the pod.
    """
    logs: dict[str, list[str]] = {}
    for line in text.splitlines():
        start, bracket, rest = line.partition("] ")
        name = start.removeprefix("[") if bracket and start.startswith("[") else ""
        if name in names:
            logs.setdefault(name, []).append(rest)
        else:
            logs.setdefault(POD, []).append(line)
    return {name: "\n".join(lines) + "\n" for name, lines in logs.items()}
