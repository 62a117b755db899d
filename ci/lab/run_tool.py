"""Run one of the system's tools to its end; its failure is an error that says what it said."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError

if TYPE_CHECKING:
    from collections.abc import Sequence

# /sbin is not in everybody's PATH, and half of the tools live there.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def run_tool(argv: Sequence[str], stdin: str = "", timeout_s: float = 60) -> str:
    """Run a tool and give what it printed.

    Raises:
        InfrastructureError: it failed, took too long or is not there.
    """
    environment = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:{PATH}", "LC_ALL": "C"}
    try:
        ended = subprocess.run(
            argv, input=stdin, env=environment, capture_output=True, text=True,
            timeout=timeout_s, check=True,
        )  # fmt: skip
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().splitlines()
        raise InfrastructureError(
            f"{' '.join(argv)} failed: {said[0] if said else f'exit code {error.returncode}'}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InfrastructureError(f"{' '.join(argv)} failed: {error}") from None
    return ended.stdout
