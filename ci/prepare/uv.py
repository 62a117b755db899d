"""Copy uv to the workspace of hosts that lack it: this machine's, or a static build for theirs."""

from __future__ import annotations

import os
import platform
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.send_file import Source, send
from ci.errors import CommandTimedOut, ConnectionLost, InfrastructureError
from ci.paths import of_machine, workspace_of
from ci.prepare.recipes.uv_settings import index_settings

if TYPE_CHECKING:
    from ci.agent.client import Agent

FETCH_S = 300.0
MAX_WHY_CHARS = 500
_FETCHING = threading.Lock()


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
    """Find uv on a host's PATH or in its workspace; else copy one that runs there.

    A host of another architecture, or with an older glibc than this machine's uv needs, gets the
    static build of the same version, which this machine's uv fetches from the package index.

    Args:
        agent: agent of the host.
        workspace: absolute path of the workspace on the host.

    Raises:
        ConnectionLost, CommandTimedOut: the connection to the host was lost.
    """
    facts = agent.call("program", name="uv", own="").value
    folder = f"{of_machine(f'{workspace}/uv', facts['machine'])}/bin"
    own = f"{folder}/uv"
    path = facts["path"] or agent.call("program", name=own, own="").value["path"]
    if path:
        return Uv(path)
    local = _local_uv()
    if local is None:
        return Uv(why_not="this controller has no uv to copy")
    if facts["system"] != platform.system():
        return Uv(why_not=f"the uv here is for {platform.system()}, the host has {facts['system']}")
    why_not = ""
    for ours in (True, False) if facts["machine"] == platform.machine() else (False,):
        try:
            source = local if ours else static_uv(local.path, facts["machine"])
            send(agent, source, folder, "uv", mode=0o755, check=("--version",))
        except (ConnectionLost, CommandTimedOut):
            raise
        except InfrastructureError as error:
            why_not = str(error)
        else:
            return Uv(own, pushed=True)
    return Uv(why_not=why_not)


def static_uv(uv: Path, machine: str) -> Source:
    """Fetch the static build of uv for an architecture, once; it needs no library of the host.

    Args:
        uv: this machine's uv; its version is fetched, from the index that it is configured for.
        machine: the architecture, as `uname -m` prints it.

    Raises:
        InfrastructureError: the build does not exist, or no index was reached.
    """
    with _FETCHING:
        target = Path(workspace_of(""), "uv", f"{version('uv')}-{machine}")
        if not (target / "bin" / "uv").is_file():
            _fetch(uv, machine, target)
        return Source(target / "bin" / "uv")


def _fetch(uv: Path, machine: str, target: Path) -> None:
    what = f"the uv for {machine} could not be fetched"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as part:
            argv = [str(uv), "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
            argv += ["--python-platform", f"{machine}-unknown-linux-musl"]
            argv += ["--target", f"{part}/new", f"uv=={version('uv')}"]
            ended = subprocess.run(
                argv,
                env={**os.environ, **index_settings()},
                check=False,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                timeout=FETCH_S,
            )
            if ended.returncode == 0:
                Path(part, "new").replace(target)
                return
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfrastructureError(f"{what}: {error}") from error
    lines = ended.stderr.decode(errors="replace").split()
    raise InfrastructureError(f"{what}: {' '.join(lines)[:MAX_WHY_CHARS]}")


@cache
def _local_uv() -> Source | None:
    try:
        from uv import find_uv_bin  # noqa: PLC0415

        return Source(Path(find_uv_bin()))
    except (ImportError, OSError):
        return None
