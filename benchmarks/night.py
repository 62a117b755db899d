"""Measure a night, and this project's own part of it: `python benchmarks/night.py --help`.

Prints the figures of README and changelog. Run it on an idle machine and quote the figures with it.
"""

from __future__ import annotations

import argparse
import os
import platform
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from ci.agent.client import Agent
from ci.agent.process_spec import ProcessSpec
from ci.agent.start_process import start
from ci.connect.connection import LocalConnection
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.agent.process import RemoteProcess

PROJECT = Path(__file__).resolve().parent.parent
INVOKE = [sys.executable, "-m", "invoke"]
# The peer of `inv --list`: the same Invoke without this project.
BARE_TASKS = "from invoke import task\n\n\n@task\ndef bare(_):\n    pass\n"


def seconds_of(argv: list[str], folder: Path) -> float:
    """Run a command and return its wall seconds."""
    began = time.perf_counter()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def listing(times: int) -> Iterator[str]:
    """Measure `inv --list`, alternating with that of a task file with one empty task."""
    with tempfile.TemporaryDirectory() as empty:
        (Path(empty) / "tasks.py").write_text(BARE_TASKS)
        pairs = [
            (
                seconds_of([*INVOKE, "--list"], PROJECT),
                seconds_of([*INVOKE, "--list"], Path(empty)),
            )
            for _ in range(times)
        ]
    ours = statistics.median(mine for mine, _ in pairs)
    ratio = statistics.median(mine / other for mine, other in pairs)
    yield f"inv --list                    {ours:8.2f} s   ({ratio:.2f} x one empty task)"


def here(workspace: str) -> Agent:
    """Return an agent for this machine as a host."""
    return Agent(LocalConnection(), workspace)


def crashes(times: int) -> Iterator[str]:
    """From the kill of a supervised process to the controller knowing of it."""
    seen: list[float] = []
    with tempfile.TemporaryDirectory() as workspace, closing(here(workspace)) as agent:
        for number in range(times):
            ended: queue.SimpleQueue[RemoteProcess] = queue.SimpleQueue()
            spec = ProcessSpec(run="bench", process=f"sleep-{number}", argv=("sleep", "600"))
            victim = start(agent, spec, ended.put)
            began = time.perf_counter()
            os.kill(int(victim.state.pid or 0), signal.SIGKILL)
            ended.get()
            seen.append(time.perf_counter() - began)
            victim.stop()
    middle, worst = 1000 * statistics.median(seen), 1000 * max(seen)
    yield f"crash of a process seen after {middle:8.1f} ms  (median of {times}, most {worst:.0f})"


def night(name: str, config: str, workspace: str | None) -> Iterator[str]:
    """Run a night and report the times of its record."""
    argv = [*INVOKE, "nightly", "--config", config]
    argv += ["--workspace", workspace] if workspace else []
    with tempfile.TemporaryDirectory() as runs:
        subprocess.run([*argv, "--runs", runs], cwd=PROJECT, check=False)
        (folder,) = Path(runs).iterdir()
        record = read_run(folder).run
    yield f"{name} night, {record.outcome:8}         {record.seconds:8.1f} s"
    for step in record.steps:
        yield f"    {step.name:<44} {step.seconds or 0.0:8.1f} s  {step.waits_for}"
    yield f"    {'overhead_s':<44} {record.overhead_s:8.2f} s"


def main() -> None:
    """Parse and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default="local.yaml", help="case of the nights")
    parser.add_argument("--cold", action="store_true", help="first run in an empty workspace")
    parser.add_argument("--no-night", action="store_true", help="skip the nights")
    parser.add_argument("--times", type=int, default=20, help="repetitions of short measurements")
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    figures = [*listing(min(arguments.times, 10)), *crashes(arguments.times)]
    with tempfile.TemporaryDirectory() as empty:
        if arguments.cold and not arguments.no_night:
            figures += night("cold", arguments.config, empty)
        if not arguments.no_night:
            figures += night("warm", arguments.config, empty if arguments.cold else None)
    print("\n".join(figures))


if __name__ == "__main__":
    main()
