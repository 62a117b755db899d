"""Run a system tool; raise with its error output if it fails."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

# Half of the tools are in /sbin, which may be missing from a plain user's PATH.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PROGRESS = ("I: ", "W: ")  # of Debian's tools


def run_tool(argv: Sequence[str], stdin: str = "", timeout_s: float = 60) -> str:
    """Run a tool and return its output.

    Args:
        argv: the command line.
        stdin: text for its standard input.
        timeout_s: time limit in seconds.

    Raises:
        InfrastructureError: it failed, timed out or is not installed.
    """
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{PATH}", "LC_ALL": "C"}
    try:
        ended = subprocess.run(
            argv, input=stdin, env=environment, capture_output=True, text=True,
            timeout=timeout_s, check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        output = (error.stderr or error.stdout).strip().splitlines()
        lines = [line for line in output if not line.startswith(_PROGRESS)]
        raise InfrastructureError(
            f"{' '.join(argv)} failed: {lines[0] if lines else f'exit code {error.returncode}'}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfrastructureError(f"{' '.join(argv)} failed: {error}") from None
    return ended.stdout
