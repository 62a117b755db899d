"""Run an evaluation tool as a night does, but without supervisor and record."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from ci.tools.output import Output
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from ci.tools.model import Command, Job, Result

# Only ends a test that has failed.
DEADLINE_S = 3600


def execute(command: Command, work: Path) -> tuple[int, str]:
    """Run a tool in its own process group, of which nothing is left afterwards."""
    for name, text in command.files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(text, "utf-8")
    keys = {name: value for name, value in os.environ.items() if name.endswith("_API_KEY")}
    with (work / "log").open("wb") as log:
        process = subprocess.Popen(
            command.argv,
            cwd=work,
            env=os.environ | command.env | keys,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(DEADLINE_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return code, (work / "log").read_text("utf-8", "replace")


def evaluate(job: Job) -> Result:
    tool = TOOLS[job.benchmark.tool]
    work = Path(job.work)
    code, log = execute(tool.command(job), work)
    left = (path for pattern in tool.OUTPUTS for path in work.glob(pattern))
    files = {str(path.relative_to(work)): path.read_text("utf-8") for path in left}
    result = tool.parse(job, Output(code, files, log))
    print(log[-3000:], result)
    return result
