"""Names of runs and processes, which become those of folders on hosts and controllers."""

from __future__ import annotations

LONGEST = 100
# Of every run: the process that holds its host, and the folder of what processes are given.
LEASE, INPUTS = "lease", "inputs"
_CHARACTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_name(text: str) -> bool:
    """Whether a run or a process may have this name: it cannot lead out of a folder."""
    return 0 < len(text) <= LONGEST and text[0] not in ".-" and not set(text) - _CHARACTERS
