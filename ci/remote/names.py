"""Names of runs and processes, which become names of folders on hosts and controllers."""

from __future__ import annotations

LONGEST = 100
# In every run: the process that holds its host, and the folder of the processes' input files.
LEASE, INPUTS = "lease", "inputs"
TELEMETRY = "telemetry"  # the process that samples the host while something is measured
WORK = "work"  # below the inputs of a tool: the folder of its output
_CHARACTERS = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")


def is_name(text: str) -> bool:
    """Return whether a run or a process may have this name: it cannot lead out of a folder."""
    return 0 < len(text) <= LONGEST and text[0] not in ".-" and not set(text) - _CHARACTERS
