"""Measure the cost of watching many hosts and the delay until an end is known; needs root.

`python benchmarks/watching.py --help`. The controller is this process, on the same machine as the
lab hosts. The CPU seconds are those of the controller alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import signal
import statistics
import sys
import threading
import time
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, cast

from ci.agent.connected import connected
from ci.agent.process_spec import LaunchRequest, ProcessSpec
from ci.agent.start_process import start
from ci.commands.logs import follow_logs
from ci.commands.overview import RunProcess
from ci.inventory.cluster_file import load
from ci.lab import lab as labs
from ci.lab.inside import processes as processes_on
from ci.paths import workspace_of
from ci.run.leases import take_leases
from ci.run.processes import Processes
from ci.run.stop import clean, find_survivors, stop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.agent.client import Agent
    from ci.agent.process import RemoteProcess
    from ci.run.events import Events

RUN = "watching"
STUBBORN = ("sh", "-c", 'trap "" TERM; while :; do sleep 1; done')
GRACE_S = 2.0
LOGGING_HOSTS = 8
LOG_MB_PER_S = 10
# Lines as long as vLLM's; ten times a second as many as the rate requires.
WRITER = """\
import sys, time
line = "(APIServer pid=1) INFO 11-21 08:00:00 [loggers.py:1] Engine 000: Avg prompt throughput: 1"
batch = (line + chr(10)) * (int(sys.argv[1]) // 10 // (len(line) + 1))
due = time.monotonic()
while True:
    sys.stdout.write(batch); sys.stdout.flush()
    due += 0.1
    time.sleep(max(0.0, due - time.monotonic()))
"""


def bring_up(processes: Processes, hosts: list[str]) -> Iterator[tuple[str, float, str]]:
    """Take a lease and start a process on every host."""
    began = time.perf_counter()
    take_leases(processes)
    yield f"leases of {len(hosts)} hosts taken", time.perf_counter() - began, "s"
    began = time.perf_counter()
    processes.launch_all([LaunchRequest(host, "idle", ("sleep", "infinity")) for host in hosts])
    yield f"{len(hosts)} processes started", time.perf_counter() - began, "s"


def idle(hosts: list[str], seconds: float) -> Iterator[tuple[str, float, str]]:
    """Measure the CPU time of watching idle hosts."""
    time.sleep(3)  # let the work of the bring-up finish
    spent, began = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    share = (time.process_time() - spent) / (time.perf_counter() - began)
    yield f"watching {len(hosts)} hosts idle, of a core", 100 * share, "%"


def ends(processes: Processes, lab: labs.Lab, times: int) -> Iterator[tuple[str, float, str]]:
    """Measure from killing a random host's process until the controller knows."""
    delays: list[float] = []
    alive = [item for item in processes.started if item.alive]
    for victim in random.sample(alive, min(times, len(alive))):
        pid = outside(lab, victim)
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        ended = processes.events.get()
        delays.append(time.perf_counter() - began)
        if ended is not victim:
            sys.exit(f"expected the end of {victim.name} on {victim.host}, got {ended}")
    yield f"end known after, median of {len(delays)}", 1000 * statistics.median(delays), "ms"
    yield "end known after, at most", 1000 * max(delays), "ms"


def outside(lab: labs.Lab, victim: RemoteProcess) -> int:
    """Return the pid on this machine of a lab host's process."""
    candidates = processes_on(lab, victim.host)
    return next(item.pid for item in candidates if item.pid_there == victim.state.pid)


def stopping(processes: Processes, what: str) -> Iterator[tuple[str, float, str]]:
    """Measure stopping and verifying everything."""
    count = sum(item.alive for item in processes.started)
    began = time.perf_counter()
    states, errors = stop(processes)
    survivors, unverified = find_survivors(processes)
    took = time.perf_counter() - began
    if errors or survivors or unverified or not all(state.complete for _, state in states):
        sys.exit(f"not stopped: {errors or survivors or unverified}")
    yield f"{count} {what} and the leases stopped and verified", took, "s"
    processes.started.clear()
    processes.leases.clear()
    clean(processes, ())


def stubborn(processes: Processes, hosts: list[str]) -> Iterator[tuple[str, float, str]]:
    """Start and stop processes that ignore TERM."""
    take_leases(processes)
    for host in hosts:
        spec = ProcessSpec(run=RUN, process="stubborn", argv=STUBBORN, grace_s=GRACE_S)
        agent = processes.agents[host]
        processes.started.append(start(agent, spec, processes.events.put))
    yield from stopping(processes, f"that ignore TERM (grace {GRACE_S:g} s)")


def logs(processes: Processes, seconds: float) -> Iterator[tuple[str, float, str]]:
    """Measure following the logs of several hosts, as `inv logs --follow` does."""
    hosts = list(processes.agents)[:LOGGING_HOSTS]
    rate = LOG_MB_PER_S * 1_000_000 // len(hosts)
    argv = ("python3", "-ISB", "-c", WRITER, str(rate))
    processes.launch_all([LaunchRequest(host, "writer", argv) for host in hosts])
    rows = [row(item) for item in processes.started]
    taken, over = [0], threading.Event()

    def take() -> None:
        with Path(os.devnull).open("wb") as sink:
            for piece in follow_logs(processes.agents, rows):
                taken[0] += len(piece)
                sink.write(piece)
        over.set()

    threading.Thread(target=take, daemon=True).start()
    time.sleep(2)
    spent, before, began = time.process_time(), taken[0], time.perf_counter()
    time.sleep(seconds)
    cpu_s, took = time.process_time() - spent, time.perf_counter() - began
    got = taken[0] - before
    stop(processes)
    if not over.wait(30):
        sys.exit("following did not end with the processes")
    yield f"logs of {len(hosts)} hosts followed", got / took / 1e6, "MB/s"
    yield "following them, of a core", 100 * cpu_s / took, "%"


def row(item: RemoteProcess) -> RunProcess:
    """Return a process in the form in which `inv logs` reads it."""
    pid = item.state.pid
    return RunProcess(item.host, RUN, item.name, "", "running", True, "", pid, item.folder)  # noqa: FBT003


def figures(
    lab: labs.Lab, agents: Mapping[str, Agent], arguments: argparse.Namespace
) -> Iterator[tuple[str, float, str]]:
    """Yield all figures in order, each as soon as it is known."""
    events: Events = SimpleQueue()
    # No view: nothing here shows progress.
    processes = Processes(RUN, "benchmark", agents, events, cast("Any", None))
    hosts = list(agents)
    try:
        yield from bring_up(processes, hosts)
        yield from idle(hosts, arguments.idle_s)
        yield from ends(processes, lab, arguments.times)
        missing = [item.host for item in processes.started if not item.alive]
        processes.launch_all(
            [LaunchRequest(host, "again", ("sleep", "infinity")) for host in missing]
        )
        yield from stopping(processes, "processes")
        yield from stubborn(processes, hosts)
        yield from logs(processes, arguments.logs_s)
    finally:
        stop(processes)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", type=int, default=64)
    parser.add_argument("--times", type=int, default=30, help="number of killed processes")
    parser.add_argument("--idle-s", type=float, default=30)
    parser.add_argument("--logs-s", type=float, default=15)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # exit in a way that removes the lab
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = Path(workspace_of("")) / "benchmarks"
    cluster_file = folder / "watching.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    print(f"{platform.platform()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]}")
    labs.down(folder / "watching-lab")
    results = []
    try:
        lab = labs.up(
            folder / "watching-lab", arguments.hosts, name="watching", cluster_file=cluster_file
        )
        began = time.perf_counter()
        with connected(load(cluster_file)) as agents:
            first = (f"connected to {arguments.hosts} hosts", time.perf_counter() - began, "s")
            for name, value, unit in chain([first], figures(lab, agents, arguments)):
                print(f"{name:58} {value:9.2f} {unit}", flush=True)
                results.append({"what": name, "value": value, "unit": unit})
    finally:
        labs.down(folder / "watching-lab")
        shutil.rmtree(folder / "watching-lab", ignore_errors=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
