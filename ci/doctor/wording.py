"""How the doctor says things: sizes, lists of hosts, owners of processes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LISTED = 4
COMMAND_CHARS = 100


def gib(size_bytes: float) -> str:
    """Say a size."""
    return f"{size_bytes / 2**30:.1f} GiB"


def names(listed: Sequence[str]) -> str:
    """List a few names, and count the rest."""
    rest = len(listed) - LISTED
    return ", ".join(listed) if rest <= 1 else f"{', '.join(listed[:LISTED])} and {rest} more"


def owner(holder: Mapping[str, Any]) -> str:
    """Say who a process is."""
    if holder.get("pid") is None:
        return str(holder.get("command") or "somebody")
    command = str(holder.get("command") or "")
    shown = command if len(command) <= COMMAND_CHARS else f"{command[:COMMAND_CHARS]}…"
    ours = f", ours: {holder['run']}" if holder.get("run") else ""
    user = f" of {holder['user']}" if holder.get("user") else ""
    return f"pid {holder['pid']}{user} ({shown}{ours})"


def way_out(holder: Mapping[str, Any], otherwise: str) -> str:
    """Say how to be rid of a process."""
    run = str(holder.get("run") or "").partition("/")[0]
    return f"end that run with `inv down --run {run}`" if run else otherwise
