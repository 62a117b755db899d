"""Run uv and other commands on a host, and find or install uv.

Also runs on hosts: stdlib only, Python 3.8 and later.
"""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import sys
from typing import Any

from uv_settings import INDEX_NAME, output_of, runs  # type: ignore[import-not-found]

TAIL_LINES = 15


class Failed(Exception):  # noqa: N818 - the result of a step
    """A step failed; the message is for the operator."""


def say(text: str) -> None:
    """Print a line of progress at once, for readers who follow the log."""
    print(text, flush=True)


def run(argv: list[str], env: dict[str, str] | None = None, advice: str = "") -> None:
    """Run a command and print its output.

    Raises:
        Failed: the command failed; has its last lines and the advice.
    """
    tail: collections.deque[str] = collections.deque(maxlen=TAIL_LINES)
    merged = {**os.environ, **(env or {})}
    with subprocess.Popen(
        argv,
        env=merged,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout or ():
            tail.append(line.rstrip())
            if not line.startswith(" + "):
                say("  " + line.rstrip())
    if process.returncode != 0:
        output = "\n".join("  " + line for line in tail)
        raise Failed("%s ended with %s:\n%s\n%s" % (argv[0], process.returncode, output, advice))


def find_uv(spec: dict[str, Any], workspace: str, env: dict[str, str]) -> str:
    """Find uv in the spec, on the PATH or in the workspace; else install it there with pip."""
    # As `of_machine` of ci/paths.py: hosts of other architectures may share the workspace.
    machine = os.uname().machine
    folder = os.path.join(workspace, "uv" if machine == "x86_64" else "uv-" + machine)
    own = os.path.join(folder, "bin", "uv")
    if spec.get("uv") and os.access(spec["uv"], os.X_OK):
        return str(spec["uv"])
    for candidate in (shutil.which("uv"), own):
        if candidate and runs(candidate, "--version"):
            return candidate
    say("installing uv")
    advice = "Install uv (`pip install uv`) on this host, or python3-venv and pip, and run again."
    index = env.get("UV_DEFAULT_INDEX") or os.environ.get("UV_DEFAULT_INDEX")
    for_pip = {**env, "PIP_INDEX_URL": INDEX_NAME.sub("", index)} if index else env
    run([sys.executable, "-m", "venv", folder], advice=advice)  # keeps what else is in there
    run([os.path.join(folder, "bin", "pip"), "install", "--quiet", "uv"], for_pip, advice)
    return own


def cache_settings(uv: str, workspace: str) -> dict[str, str]:
    """Put uv's cache on the workspace's file system, so that uv can use hard links.

    It is in the user's home, which may be read-only, unless UV_CACHE_DIR names another place.
    """
    above = existing(output_of(uv, "cache", "dir"))
    same_disk = os.stat(above).st_dev == os.stat(existing(workspace)).st_dev
    if os.environ.get("UV_CACHE_DIR") or (same_disk and os.access(above, os.W_OK | os.X_OK)):
        return {}
    return {"UV_CACHE_DIR": os.path.join(workspace, "cache", "uv")}


def existing(path: str) -> str:
    """Return the nearest folder above a path, or the path itself, that exists."""
    while not os.path.exists(path):
        path = os.path.dirname(path) or "/"
    return path
