"""Copy this machine's uv to hosts that lack it, as `<workspace>/uv/bin/uv`."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.send_file import Source, send
from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError

if TYPE_CHECKING:
    from ci.agent.client import Agent


@dataclass(frozen=True)
class Uv:
    """A host's uv.

    Attributes:
        path: its path on the host; empty if it has none, so that the recipe installs it with pip.
        pushed: whether it was copied now.
        why_not: the reason why it has none.
    """

    path: str = ""
    pushed: bool = False
    why_not: str = ""


def provide(agent: Agent, workspace: str) -> Uv:
    """Find uv on a host's PATH or in its workspace; else copy this machine's uv, if it runs there.

    Args:
        agent: agent of the host.
        workspace: absolute path of the workspace on the host.

    Raises:
        ConnectionLost, CommandTimedOut: the connection to the host was lost.
    """
    folder = f"{workspace}/uv/bin"
    facts = agent.call("program", name="uv", own=f"{folder}/uv").value
    if facts["path"]:
        return Uv(facts["path"])
    source = _local_uv()
    if source is None:
        return Uv(why_not="this controller has no uv to copy")
    if (facts["system"], facts["machine"]) != (platform.system(), platform.machine()):
        return Uv(
            why_not=f"the uv here is for {platform.machine()}, the host has {facts['machine']}"
        )
    try:
        send(agent, source, folder, "uv", mode=0o755, check=("--version",))
    except (ConnectionLost, CommandTimedOut):
        raise
    except InfrastructureError as error:
        return Uv(why_not=str(error))
    return Uv(f"{folder}/uv", pushed=True)


@cache
def _local_uv() -> Source | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return Source(Path(find_uv_bin()))
    except (ImportError, OSError):
        return None
