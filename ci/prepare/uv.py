"""Bring this machine's uv to hosts that have none. Writes `<workspace>/uv/bin/uv` there."""

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
        path: there; empty where it has none, and the recipe installs it with pip.
        pushed: whether it came from here just now.
        why_not: why it has none.
    """

    path: str = ""
    pushed: bool = False
    why_not: str = ""


def provide(agent: Agent, workspace: str) -> Uv:
    """Find uv on a host's PATH or in its workspace; else bring it ours, if it would run there.

    Args:
        agent: the host.
        workspace: the folder there, absolute.

    Raises:
        ConnectionLost, CommandTimedOut: the host went away.
    """
    folder = f"{workspace}/uv/bin"
    there = agent.call("program", name="uv", own=f"{folder}/uv").value
    if there["path"]:
        return Uv(there["path"])
    ours = _ours()
    if ours is None:
        return Uv(why_not="this controller has none to bring")
    if (there["system"], there["machine"]) != (platform.system(), platform.machine()):
        return Uv(
            why_not=f"this controller's is for {platform.machine()}, the host is {there['machine']}"
        )
    try:
        send(agent, ours, folder, "uv", mode=0o755, check=("--version",))
    except (ConnectionLost, CommandTimedOut):
        raise
    except InfrastructureError as error:
        return Uv(why_not=str(error))
    return Uv(f"{folder}/uv", pushed=True)


@cache
def _ours() -> Source | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return Source(Path(find_uv_bin()))
    except (ImportError, OSError):
        return None
