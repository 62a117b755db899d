"""Format sizes, lists of hosts and processes for the doctor's messages. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.record.secrets import hide_in_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_NAMES = 4
MAX_COMMAND_CHARS = 100


def gib(size_bytes: float) -> str:
    """Format a size in GiB."""
    return f"{size_bytes / 2**30:.1f} GiB"


def join_names(listed: Sequence[str]) -> str:
    """Join the first few names, and count the rest."""
    rest = len(listed) - MAX_NAMES
    return ", ".join(listed) if rest <= 1 else f"{', '.join(listed[:MAX_NAMES])} and {rest} more"


def describe_holder(holder: Mapping[str, Any]) -> str:
    """Describe the process that holds a port or an accelerator: pid, user and command."""
    if holder.get("pid") is None:
        return str(holder.get("command") or "an unknown process")
    command = hide_in_text(str(holder.get("command") or ""))
    shown = command if len(command) <= MAX_COMMAND_CHARS else f"{command[:MAX_COMMAND_CHARS]}…"
    run = f", of run {holder['run']}" if holder.get("run") else ""
    user = f" of {holder['user']}" if holder.get("user") else ""
    return f"pid {holder['pid']}{user} ({shown}{run})"


def how_to_stop(holder: Mapping[str, Any], otherwise: str) -> str:
    """Suggest how to stop a process: end its run, or `otherwise` if it belongs to none."""
    run = str(holder.get("run") or "").partition("/")[0]
    return f"stop that run with `inv down --run {run}`" if run else otherwise
