"""Measure how well the nights of a suite are packed, by random suites.

    python benchmarks/packing.py                 200 suites, against a lower bound
    python benchmarks/packing.py --peer 10       and against OR-tools' CP-SAT, 10 s for each suite
    python benchmarks/packing.py --large         500 hosts and 2,000 cases: time and memory

A suite has 4 to 32 hosts of one to three kinds and 20 to 100 nights: of 5 minutes to 5 hours, on 1,
2, 4 or 8 hosts. Some may use only hosts that they name, some share a host with others, one is a
canary, and some have a higher priority. Each suite is packed with and without its priorities; the
bound knows nothing of them. CP-SAT is not a dependency: `pip install ortools` brings it.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from collections import Counter
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from random import Random
from typing import Any

from ci.report.table import as_text
from ci.suite.jobs import Host, Job, State
from ci.suite.packing import Schedule, plan

SUITES = 200
WIDTHS = ((1, 2, 4, 8), (60, 25, 10, 5))
DEVICES = 8
WANTED = 1.10
# Shares of the jobs that name their hosts, and of narrow jobs that share a host.
NAMED, SHARED = 0.08, 0.2
MINUTE = 60.0
# CP-SAT is asked where the bound leaves more room than this.
ASKED = 1.005


@dataclass(frozen=True)
class Measured:
    """A suite that was packed; seconds."""

    makespan: float
    bound: float
    cpu: float
    peer: float = 0.0


def random_suite(seed: int) -> tuple[tuple[Host, ...], tuple[Job, ...]]:
    """Make the hosts and the jobs of a suite."""
    random = Random(seed)  # noqa: S311 - repeatable
    kinds = random.choice((1, 1, 2, 3))
    groups = [
        tuple(f"{kind}-{index}" for index in range(random.randint(2, 16)))
        for kind in ("ascend", "cuda", "cpu")[:kinds]
    ]
    if kinds == 1:
        groups = [tuple(f"ascend-{index}" for index in range(random.randint(4, 32)))]
    hosts = tuple(Host(name, DEVICES) for group in groups for name in group)
    jobs = [_job(random, number, groups) for number in range(random.randint(20, 100))]
    canary = replace(jobs[0], count=1, devices=0, canary=True, expected_s=10 * MINUTE)
    return hosts, (canary, *jobs[1:])


def _job(random: Random, number: int, groups: list[tuple[str, ...]]) -> Job:
    group = random.choices(groups, [len(each) for each in groups])[0]
    if random.random() < NAMED:
        group = tuple(random.sample(group, min(len(group), random.choice((1, 2)))))
    count = min(len(group), random.choices(*WIDTHS)[0])
    shared = random.choice((1, 2, 4)) if count == 1 and random.random() < SHARED else 0
    minutes = max(5, min(300, round(random.lognormvariate(3.7, 0.7))))
    priority = random.choices((0, 1, 2), (85, 10, 5))[0]
    model = random.randrange(20)
    uses = frozenset({f"weights {model}", f"vllm {random.randrange(3)}"})
    name = f"case-{number}"
    return Job(name, group, count, minutes * MINUTE, shared, priority=priority, uses=uses)


def large_suite() -> tuple[tuple[Host, ...], tuple[Job, ...]]:
    """Make 500 hosts and 2,000 jobs."""
    random = Random(1)  # noqa: S311 - repeatable
    sizes = {"ascend": 300, "cuda": 150, "cpu": 50}
    groups = [tuple(f"{kind}-{index}" for index in range(n)) for kind, n in sizes.items()]
    hosts = tuple(Host(name, DEVICES) for group in groups for name in group)
    return hosts, tuple(_job(random, number, groups) for number in range(2000))


def plain(jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    """Return jobs without priorities."""
    return tuple(replace(job, priority=0, canary=False) for job in jobs)


def verify(schedule: Schedule, hosts: tuple[Host, ...], jobs: tuple[Job, ...]) -> None:
    """Check that each job has its hosts, and no device has two jobs at once."""
    assert sorted(each.job.name for each in schedule.placements) == sorted(job.name for job in jobs)
    devices = {host.name: host.devices for host in hosts}
    changes: dict[str, Counter[float]] = {host.name: Counter() for host in hosts}
    for each in schedule.placements:
        assert len(set(each.hosts)) == each.job.count
        assert set(each.hosts) <= set(each.job.hosts)
        for name in each.hosts:
            need = each.job.devices or devices[name]
            changes[name][each.start_s] += need
            changes[name][each.end_s] -= need
    for name, counts in changes.items():
        used = 0
        for moment in sorted(counts):
            used += counts[moment]
            assert 0 <= used <= devices[name]


def measure(hosts: tuple[Host, ...], jobs: tuple[Job, ...], peer_s: float) -> Measured:
    """Pack a suite."""
    begin = time.process_time()
    schedule = plan(State(0.0, hosts, jobs))
    cpu = time.process_time() - begin
    verify(schedule, hosts, jobs)
    bound, peer = schedule.bound_s, schedule.makespan_s
    if peer_s and schedule.makespan_s > bound * ASKED:
        peer, proven = solved(hosts, schedule, peer_s)
        bound = max(bound, proven)
    return Measured(schedule.makespan_s, bound, cpu, peer)


def solved(hosts: tuple[Host, ...], schedule: Schedule, seconds: float) -> tuple[float, float]:
    """Return the makespan that CP-SAT makes of a plan, without priorities, and its own bound.

    It begins with the plan: from nothing it needs minutes to find one as good.
    """
    cp_model: Any = import_module("ortools.sat.python.cp_model")
    model = cp_model.CpModel()
    horizon = round(schedule.makespan_s / MINUTE)
    makespan = model.new_int_var(0, horizon, "makespan")
    devices = {host.name: host.devices for host in hosts}
    on: dict[str, list[tuple[object, int]]] = {host.name: [] for host in hosts}
    for placed in schedule.placements:
        job, length = placed.job, round(placed.job.expected_s / MINUTE)
        start = model.new_int_var(0, horizon - length, "")
        model.add_hint(start, round(placed.start_s / MINUTE))
        model.add(start + length <= makespan)
        chosen = []
        for name in job.hosts:
            here = model.new_bool_var("")
            model.add_hint(here, name in placed.hosts)
            chosen.append(here)
            interval = model.new_optional_fixed_size_interval_var(start, length, here, "")
            on[name].append((interval, job.devices or devices[name]))
        model.add(sum(chosen) == job.count)
    for name, intervals in on.items():
        if intervals:
            each, needs = zip(*intervals, strict=True)
            model.add_cumulative(each, needs, devices[name])
    model.minimize(makespan)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = 2
    found = solver.solve(model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)
    best = solver.objective_value * MINUTE if found else schedule.makespan_s
    return best, solver.best_objective_bound * MINUTE


def rows_of(name: str, measured: list[Measured]) -> tuple[str, ...]:
    """Write one line of the table."""
    ratios = sorted(each.makespan / each.bound for each in measured)
    within = sum(ratio <= WANTED for ratio in ratios)
    saved = [1 - each.peer / each.makespan for each in measured if each.peer]
    peer = f"{statistics.mean(saved):.1%} / {max(saved):.1%}" if saved else "-"
    mean, median = statistics.mean(ratios), statistics.median(ratios)
    cpu = [each.cpu for each in measured]
    return (
        *(name, str(len(ratios)), f"{mean:.3f}", f"{median:.3f}", f"{ratios[-1]:.3f}"),
        *(str(within), peer, f"{statistics.median(cpu):.2f}", f"{max(cpu):.2f}"),
    )


HEADINGS = (
    *("suites", "number", "mean ÷ bound", "median", "worst", "within 10 %"),
    *("CP-SAT saves, mean / worst", "CPU s, median", "worst"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--suites", type=int, default=SUITES)
    parser.add_argument("--peer", type=float, default=0.0, help="seconds of CP-SAT for each suite")
    parser.add_argument("--large", action="store_true")
    given = parser.parse_args()
    if given.large:
        hosts, jobs = large_suite()
        one = measure(hosts, jobs, 0.0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{len(hosts)} hosts, {len(jobs):,} cases: {one.cpu:.2f} s of CPU, {peak:.0f} MiB, "
            f"makespan {one.makespan / 3600:.2f} h, {one.makespan / one.bound:.3f} of the bound"
        )
        return
    peer_s = given.peer
    if peer_s and find_spec("ortools") is None:
        print("CP-SAT is left out: OR-tools is not installed; `pip install ortools`")
        peer_s = 0.0
    if not peer_s:
        print("against the bound of ci/suite/bound.py; --peer adds CP-SAT and its bound")
    without: list[Measured] = []
    with_priorities: list[Measured] = []
    for seed in range(given.suites):
        hosts, jobs = random_suite(seed)
        without.append(measure(hosts, plain(jobs), peer_s))
        own = measure(hosts, jobs, 0.0)
        bound = max(own.bound, without[-1].bound)
        with_priorities.append(replace(own, bound=bound, peer=0.0))
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\033[K{seed + 1} of {given.suites}")
    rows = [rows_of("without priorities", without), rows_of("with priorities", with_priorities)]
    sys.stdout.write(as_text(HEADINGS, rows))


if __name__ == "__main__":
    main()
