"""Measure from `inv nightly` to the last started server: `python benchmarks/bringup.py`.

Makes lab hosts on this machine, which share its cores; needs root. Run it on an idle machine and
quote the figures with the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from ci.lab import lab
from ci.record.stored import read_run

PROJECT = Path(__file__).resolve().parent.parent
SERVER = PROJECT / "tests" / "integration" / "light_server.py"
PORT = 18_472
HEAD = f"python3 -ISB {SERVER} {PORT} good --port {PORT}"
# A worker without load, since all hosts share this machine.
WORKER = f"{PROJECT / 'benchmarks' / 'idle.sh'} --headless"


def case_of(count: int) -> str:
    """Return a case for `count` hosts: one light server, and idle workers on the others."""
    commands = [HEAD, *[WORKER] * (count - 1)]
    nodes = "\n".join(f'  - server_cmd: "{command}"' for command in commands)
    return (
        f"test_name: {count} hosts\nmodel: light\nnum_nodes: {count}\nnpu_per_node: 0\n"
        f"ready_timeout_s: 60\ndeployment:\n{nodes}\n"
    )


def night(case: Path, cluster: Path, runs: Path) -> dict[str, float]:
    """Run a night; return the seconds until the last server started, of every step and in total."""
    argv = [sys.executable, "-m", "invoke", "nightly", "--config", str(case)]
    argv += ["--cluster", str(cluster), "--runs", str(runs)]
    began = time.time()
    ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    whole = time.time() - began
    if ended.returncode != 0:
        raise SystemExit(ended.stdout + ended.stderr)
    run = read_run(max(runs.glob("*/run.json")).parent).run
    starts = [datetime.fromisoformat(each.started_at) for each in run.processes if each.started_at]
    steps = {step.name: step.seconds or 0.0 for step in run.steps}
    return {"last server started": max(starts).timestamp() - began, **steps, "whole": whole}


def main() -> None:
    """Parse, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, nargs="*", default=[2, 64])
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    for count in arguments.hosts:
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            made = home / "lab"
            cluster = home / "cluster.yaml"
            lab.up(made, count, name=f"bench-{count}", cluster_file=cluster, shown=[PROJECT])
            try:
                case = home / "case.yaml"
                case.write_text(case_of(count))
                runs = [night(case, cluster, home / "runs") for _ in range(arguments.times)]
            finally:
                lab.down(made)
        for name in runs[0]:
            seconds = statistics.median(run[name] for run in runs)
            print(f"{count:4} hosts  {name:<50} {seconds:7.2f} s")


if __name__ == "__main__":
    main()
