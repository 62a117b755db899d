"""Measure how long the plan of a large suite takes, and its memory.

    python benchmarks/suite_scale.py             500 hosts, 2,000 case files, 30 nights of each
    python benchmarks/suite_scale.py --hosts 50 --cases 200 --nights 0
    python benchmarks/suite_scale.py --connect lab       what the controller holds for each host

Makes the case files of configs/cases many times under other names, a cluster file, a suite and a
history of nights in a temporary folder, and runs `inv suite.plan --json` on it as an operator does.
The peer only parses the same case files, with PyYAML's C parser. The stages are those of one more
plan inside this process. `--connect CLUSTER` connects to all hosts of a cluster file, as made by
`inv lab.up --hosts 48`, and plans nothing. Run it on an idle machine and quote the figures with it.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

from ci.agent.connected import connected
from ci.case.load import load
from ci.commands.suite_flags import Plan
from ci.commands.suite_source import selected_nights
from ci.commands.suite_table import as_values
from ci.history.database import opened
from ci.inventory import cluster_file
from ci.paths import CASES
from ci.report.table import as_text
from ci.suite.planned import plan_suite
from ci.suite.window import span_of

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parent.parent
HOSTS, CASE_FILES, NIGHTS, TIMES = 500, 2000, 30, 3
# What a month of an operator may be; PLANNED_S is what the project promises for it.
PLANNED_S = 10.0
MIB = 1024 * 1024
PARSE = (
    "import sys, yaml, pathlib\n"
    "read = [yaml.load(path.read_bytes(), yaml.CSafeLoader)\n"
    "        for path in sorted(pathlib.Path(sys.argv[1]).glob('*.yaml'))]\n"
    "print(len(read))"
)
# Kinds of the hosts, and their shares; the cases of configs/cases want these kinds.
KINDS = {"ascend": 0.7, "cuda": 0.2, "cpu": 0.1}
SUITE = """\
title: "A large suite"
cluster: {folder}/cluster.yaml
nights:
  - {{cases: "./cases/*"}}
  - {{cases: "./cases/*-1.yaml", priority: 1, owner: a}}
  - {{cases: "./cases/*-2.yaml", share: true, owner: b}}
  - {{cases: "./cases/*-3.yaml", vllm: ["0.20.2", "0.18.0"], owner: c}}
  - {{cases: "./cases/case-0000-1.yaml", canary: true, owner: a}}
"""
ROW = (
    "INSERT INTO runs (id, folder, case_name, config, outcome, cause_kind, cause, vllm,"
    " environment, device, device_name, hosts, started_at, ended_at, command, git_commit)"
    " VALUES (?, ?, ?, ?, 'pass', '', '', ?, '', '', '', '', ?, ?, '', '')"
)


@dataclass(frozen=True)
class Measured:
    """One child process."""

    seconds: float
    cpu_s: float
    peak_bytes: int


def make(folder: Path, hosts: int, cases: int, nights: int) -> Path:
    """Write the cases, the cluster, the suite and the history; return the path of the suite."""
    random = Random(1)  # noqa: S311 - repeatable
    templates = [
        (path.read_text("utf-8"), found[0])
        for path in sorted(CASES.glob("*.yaml"))
        if len(found := load(path)) == 1
    ]
    (folder / "cases").mkdir()
    (folder / "runs").mkdir()
    rows = []
    for number in range(cases):
        text, case = templates[number % len(templates)]
        name = f"case-{number // 10:04}-{number % 10}"
        title = f'test_name: "{name}"'
        lines = [title if line.startswith("test_name:") else line for line in text.splitlines()]
        (folder / "cases" / f"{name}.yaml").write_text("\n".join(lines) + "\n", "utf-8")
        usual_s = min(18_000, max(300, random.lognormvariate(8.0, 0.7)))
        for night in range(nights):
            began = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=night)
            ended = began + dt.timedelta(seconds=usual_s * random.uniform(0.9, 1.1))
            times = (began.isoformat(), ended.isoformat())
            rows.append((f"{night}-{name}", f"{night}-{name}", name, "", case.vllm or "", *times))
    with opened(folder / "runs") as connection:
        connection.execute("BEGIN")
        connection.executemany(ROW, rows)
        connection.execute("COMMIT")
    (folder / "cluster.yaml").write_text(_cluster(hosts), "utf-8")
    (folder / "suite.yaml").write_text(SUITE.format(folder=folder), "utf-8")
    return folder / "suite.yaml"


def _cluster(hosts: int) -> str:
    lines, number = ["hosts:"], 0
    for kind, share in KINDS.items():
        for _ in range(round(share * hosts)):
            accelerator = f"{{kind: {kind}, count: {0 if kind == 'cpu' else 16}}}"
            address = f"10.{number >> 8}.{number & 255}.1"
            lines.append(f"  {kind}-{number}: {{address: {address}, accelerator: {accelerator}}}")
            number += 1
    return "\n".join(lines) + "\n"


def run(argv: list[str]) -> tuple[Measured, bytes]:
    """Run a command; return its seconds and its largest resident memory, and what it wrote."""
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        process = subprocess.Popen(argv, cwd=PROJECT, stdout=output, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(argv)} ended with {process.returncode}")
        output.seek(0)
        peak = usage.ru_maxrss * 1024  # KiB on Linux
        return Measured(seconds, usage.ru_utime + usage.ru_stime, peak), output.read()


def stages(suite: Path) -> list[tuple[str, float]]:
    """Plan once in this process; return the seconds of each stage."""
    given = Plan(suite=str(suite), run_type="daily", runs=str(suite.parent / "runs"))
    now = dt.datetime(2026, 3, 1, 20, 0)  # noqa: DTZ001 - local time, as the command takes it
    timed: list[tuple[str, float]] = []

    def measured(name: str, call: Callable[[], T]) -> T:
        began = time.perf_counter()
        value = call()
        timed.append((name, time.perf_counter() - began))
        return value

    selected = measured("read suite, cases, history", lambda: selected_nights(given, now.date()))
    path = cluster_file.find(str(suite.parent / "cluster.yaml"))
    targets = measured("read the cluster file", lambda: cluster_file.load(path))
    span = span_of(now, None, "")
    planned = measured("pack", lambda: plan_suite(selected.nights, targets, span))
    measured("write JSON", lambda: json.dumps(as_values(selected, planned, "daily", "c")))
    return timed


def held_for_hosts(cluster: str) -> str:
    """Connect to all hosts of a cluster; return what this process holds for each of them."""
    targets = cluster_file.load(cluster_file.find(cluster))
    before = _held()
    began = time.perf_counter()
    with connected(targets) as agents:
        seconds, count = time.perf_counter() - began, len(agents)
        more = [now - then for now, then in zip(_held(), before, strict=True)]
    each = "{:.2f} MiB, {:.1f} threads, {:.1f} open files".format(*(part / count for part in more))
    return f"{count} hosts connected in {seconds:.2f} s; for each host {each}"


def _held() -> tuple[float, int, int]:
    """Return this process's resident MiB, threads and open files."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    resident = pages * os.sysconf("SC_PAGE_SIZE") / MIB
    return resident, threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def main() -> None:
    """Make the suite, measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--hosts", type=int, default=HOSTS)
    parser.add_argument("--cases", type=int, default=CASE_FILES)
    parser.add_argument("--nights", type=int, default=NIGHTS, help="nights of each in the history")
    parser.add_argument("--times", type=int, default=TIMES, help="how often each is measured")
    parser.add_argument("--connect", metavar="CLUSTER", default="", help="connect to these hosts")
    given = parser.parse_args()
    if given.connect:
        print(held_for_hosts(given.connect))
        return
    with tempfile.TemporaryDirectory() as made:
        suite = make(Path(made), given.hosts, given.cases, given.nights)
        flags = ["--suite", str(suite), "--runs", f"{made}/runs", "--json"]
        ours, peers = [], []
        for _ in range(given.times):
            ours.append(run([sys.executable, "-m", "invoke", "suite.plan", *flags]))
            peers.append(run([sys.executable, "-c", PARSE, f"{made}/cases"])[0])
        plan = json.loads(ours[-1][1])
        inside = stages(suite)
    count = len(plan["nights"]) + len(plan["not_begun"])
    print(f"{given.hosts} hosts, {given.cases:,} case files, {count:,} nights, on {_machine()}")
    rows = [
        _row("inv suite.plan --json", [each for each, _ in ours], given.cases),
        _row("PyYAML (C) parses the same files", peers, given.cases),
    ]
    sys.stdout.write(as_text(("", "seconds", "CPU s", "ms a case", "peak MiB"), rows))
    for name, seconds in inside:
        print(f"  {name:<28} {seconds:6.2f} s")
    makespan, bound = plan["makespan_s"], plan["bound_s"]
    print(f"makespan {makespan / 3600:.2f} h, {makespan / bound:.3f} of the lower bound")
    # Wall seconds are those of a machine with other work, too; CPU seconds are ours alone.
    slowest = max(each.cpu_s for each, _ in ours)
    verdict = "within" if slowest <= PLANNED_S else "MORE than"
    print(f"slowest {slowest:.2f} s of CPU, on one core: {verdict} {PLANNED_S:g} s")


def _row(name: str, measured: list[Measured], cases: int) -> tuple[str, ...]:
    seconds = statistics.median(each.seconds for each in measured)
    cpu = statistics.median(each.cpu_s for each in measured)
    peak = max(each.peak_bytes for each in measured) / MIB
    return name, f"{seconds:.2f}", f"{cpu:.2f}", f"{1000 * seconds / cases:.2f}", f"{peak:.0f}"


def _machine() -> str:
    with closing(Path("/proc/cpuinfo").open("r", encoding="utf-8")) as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return f"{len(names)} × {names[0] if names else platform.machine()}"


if __name__ == "__main__":
    main()
