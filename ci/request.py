"""What an operator asks of a command. Imports the standard library only."""

from __future__ import annotations

import math
from collections.abc import Mapping  # noqa: TC003 - read back from JSON
from dataclasses import dataclass, field
from typing import Any, Literal

KEEP_S = 12 * 3600.0
RETEST_BUDGET = "45m"
STAGES = ("functional", "accuracy", "performance")
LAST_GOOD, NO_CONTROL = "last-good", "none"


@dataclass(frozen=True)
class Request:
    """What an operator asks of a command, with the names of its flags.

    Attributes:
        config: the case: `FILE`, or `FILE#NAME` for a file with several cases.
        local: use this machine instead of the case's hosts.
        cluster: name or path of a cluster file; empty to use the case's hosts.
        vllm: a version of configs/versions.yaml; empty to use the case's.
        device: the hosts' kind: cpu, cuda or ascend; empty to use the case's, else the cluster
            file's, else the detected kind of this machine.
        workspace: folder on every host. Empty to use the cluster file's, else
            `~/.cache/lamplighter`; on this machine $LAMPLIGHTER_WORKSPACE, else the user's cache
            folder.
        runs: the folder of all runs.
        argv: the command line, for the record.
        skip_doctor: do not examine the hosts first.
        wait: queue for hosts that another run holds.
        queue_s: seconds to queue for them without `wait`.
        keep: leave the servers running afterwards, for KEEP_S.
        serve: start the servers; else the night ends once the hosts have all files.
        measure: run the benchmarks.
        functional: the functional suite: a path, or a name in configs/functional; `none` for none;
            empty to use the case's, else $LAMPLIGHTER_FUNCTIONAL_CONFIG.
        retest_budget: how long measuring again what is suspect may take, e.g. 45m.
        control: `last-good` to measure the last good version of vLLM beside what stays suspect, or
            `none`; empty to use the case's.
        against_itself: run each night twice, and say what judging says of the second one.
        run_type: daily, weekly, pr or another; empty for a night of its own.
        suite_name: name of the suite that the night is of; empty for none.
        dry_run: only show what would be done.
        set: `KEY=VALUE` that replace values of the case file.
        allocated: the hosts that Slurm has given, each a `ci.inventory.target.Target`, in place of
            those that `cluster` asks for.
        slurm_job: the Slurm job of the suite that the night belongs to, which has the hosts of
            `on` for it; 0 for none.
        on: names of the cluster's hosts, one for each node of the case, separated by commas; empty
            for the case's own, else the first ones of the cluster file.
        stages: which parts run: functional, accuracy, performance, separated by commas; empty for
            all.
        benchmarks: names or patterns of the benchmarks that run, separated by commas; empty for
            all.
        functional_cases: names, tags or patterns of the functional cases that run, separated by
            commas; empty for all.
        judge: keys of the case's `judge` that a suite sets; the case's own have priority.
        host_env: host → variables of its servers, such as the devices that a night uses beside
            others.
        run: id of the run; empty to make one.
        suite: id of the suite's run that it belongs to; empty for none.
        beside: whether other nights of this suite may run on the same hosts.
        purpose: `smoke` for the proof that a host serves; else a night.
    """

    config: str = ""
    local: bool = False
    vllm: str = ""
    device: str = ""
    workspace: str = ""
    cluster: str = ""
    runs: str = "runs"
    argv: tuple[str, ...] = ()
    skip_doctor: bool = False
    wait: bool = False
    queue_s: float = 0.0
    keep: bool = False
    serve: bool = True
    measure: bool = True
    functional: str = ""
    retest_budget: str = RETEST_BUDGET
    control: str = ""
    against_itself: bool = False
    run_type: str = ""
    suite_name: str = ""
    dry_run: bool = False
    set: tuple[str, ...] = ()
    allocated: tuple[Any, ...] = ()
    slurm_job: int = 0
    on: str = ""
    stages: str = ""
    benchmarks: str = ""
    functional_cases: str = ""
    judge: Mapping[str, object] = field(default_factory=dict)
    host_env: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    run: str = ""
    suite: str = ""
    beside: bool = False
    purpose: Literal["night", "smoke"] = "night"

    @property
    def wait_s(self) -> float:
        """Seconds to queue for hosts that another run holds."""
        return math.inf if self.wait else self.queue_s

    @property
    def keep_s(self) -> float:
        """Seconds that the servers keep running afterwards; 0 stops them."""
        return KEEP_S if self.keep else 0


def listed(names: str) -> tuple[str, ...]:
    """Return the names of a flag that has several, separated by commas."""
    return tuple(name.strip() for name in names.split(",") if name.strip())
