"""The flags of every command: each is declared once, in a group that commands share.

With several bases, dataclasses put the fields of the last base first. Imports the standard library
only, so that listing the tasks stays fast.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import Any

from ci.commands.command import flag
from ci.errors import UserError
from ci.request import LAST_GOOD, NO_CONTROL, RETEST_BUDGET, STAGES, Request, listed

# Flags of several groups.
CLUSTER: Any = flag(
    "which hosts: a cluster file's path, or its name in configs/clusters; default: the case's "
    "cluster_hosts, or the suite's `cluster`; for a new case this machine"
)
VLLM: Any = flag(
    "vLLM version of configs/versions.yaml to install and use; default: the case's `vllm`; for "
    "a new case the newest"
)
ON: Any = flag(
    "only these hosts of the cluster file, in this order, separated by commas; default: the case's "
    "cluster_hosts, else the first ones"
)
RESUME: Any = flag(
    "go on with a search or a run of a suite that was stopped: its folder, runs/ID, its id, or a "
    "beginning that only one has; of a suite also `last`"
)
LOCAL: Any = flag("run on this machine; ignore the case's cluster_hosts", default=False)
DEVICES: Any = flag("devices of each host; default: those of the cluster file", 0)
MAX_MODEL_LEN: Any = flag("tokens of prompt and answer together", 4096)
NIGHT_RUN_TYPE: Any = flag(
    "daily, weekly, pr or another; daily publishes metrics if PROM_PUSHGATEWAY_URL or "
    "PROM_TEXTFILE_DIR is set; default: none"
)
NUM_PROMPTS: Any = flag(
    "number of prompts; default: that of the dataset's name; for a new case 200, on a CPU 16", 0
)
FUNCTIONAL: Any = flag(
    "functional suite: a path, or a name in configs/functional, or none; default: the case's "
    "`functional`, else $LAMPLIGHTER_FUNCTIONAL_CONFIG, else none"
)
RETEST: Any = flag(
    "how long measuring again what is suspect may take, e.g. 45m, 1h30m, or 0 for not at all",
    RETEST_BUDGET,
)
WAIT: Any = flag("queue for hosts that another run holds, instead of failing", default=False)


@dataclass(frozen=True)
class Config:
    """The flag that selects the case."""

    config: str = flag(
        "case file: a path, or a name in configs/cases (with or without .yaml); FILE#NAME "
        "chooses one of several cases in it"
    )


@dataclass(frozen=True)
class Settings:
    """The flag that replaces values of the case."""

    set: tuple[str, ...] = flag(
        "KEY=VALUE in place of the file's value, e.g. benchmarks.acc.num_prompts=200; KEY may have "
        "an index, deployment[0], or an entry's name; may be repeated",
        (),
    )


@dataclass(frozen=True)
class Cluster(Config):
    """The flag that selects the hosts."""

    cluster: str = CLUSTER

    def request(self) -> Request:
        """Return the request that these flags and the command line make."""
        names = {item.name for item in fields(Request)}
        given = {name: value for name, value in vars(self).items() if name in names}
        return Request(**given, argv=tuple(sys.argv))


@dataclass(frozen=True)
class Device:
    """The flag for the kind of machine."""

    device: str = flag(
        "cpu, cuda or ascend; default: the case's `device`, else what this machine has"
    )

    def __post_init__(self) -> None:
        """Refuse an unknown kind, also where nothing would use it."""
        if self.device:
            from ci.inventory.this_machine import device_of  # noqa: PLC0415

            device_of(self.device)


@dataclass(frozen=True)
class Workspace:
    """The flag for the workspace on a host."""

    workspace: str = flag(
        "folder on the hosts for environments, models and the state of runs; default: the cluster "
        "file's, on this machine $LAMPLIGHTER_WORKSPACE, else ~/.cache/lamplighter"
    )


@dataclass(frozen=True)
class Runs:
    """The flag for the folder of all runs."""

    runs: str = flag("folder with one folder per run", "runs")


@dataclass(frozen=True)
class Run:
    """The flag that selects a run."""

    run: str = flag(
        "the run: its id, as shown by `inv runs` and `inv status`, a beginning of it that only one "
        "has, or its folder, e.g. runs/ID; where nothing is ended also `last`, or a case for its "
        "last night"
    )


@dataclass(frozen=True)
class Host:
    """The flag that selects one of the hosts."""

    host: str = flag("only this host: its name; `plan` and `k8s.logs` also accept its index from 0")


@dataclass(frozen=True)
class Follow:
    """The flag to follow logs."""

    follow: bool = flag("follow the logs until their processes have ended", default=False)


@dataclass(frozen=True)
class Json:
    """The flag for JSON output."""

    json: bool = flag("print it as JSON", default=False)


@dataclass(frozen=True)
class _Here:
    local: bool = LOCAL
    vllm: str = VLLM


@dataclass(frozen=True)
class On:
    """The flag that selects some of a cluster's hosts."""

    on: str = ON


@dataclass(frozen=True)
class Case(Settings, Workspace, Device, On, _Here, Cluster):
    """The flags that select a case and the hosts it runs on."""


@dataclass(frozen=True)
class DryRun:
    """The flag to look first."""

    dry_run: bool = flag("only show what would be done; change nothing", default=False)


@dataclass(frozen=True)
class Up(DryRun, Runs, Case):
    """The flags of `inv up`."""

    skip_doctor: bool = flag("do not examine the hosts first", default=False)
    wait: bool = WAIT


@dataclass(frozen=True)
class Nightly(Up):
    """The flags of `inv nightly`."""

    keep: bool = flag("leave the servers running afterwards, for 12 hours", default=False)
    functional: str = FUNCTIONAL
    stages: str = flag(
        "which parts run: functional, accuracy, performance, separated by commas; the smoke test "
        "always runs; default: all"
    )
    benchmarks: str = flag(
        "only these benchmarks: names or patterns, separated by commas; default: all"
    )
    functional_cases: str = flag(
        "only these cases of the functional suite: names, tags or patterns, separated by commas; "
        "default: all"
    )
    retest_budget: str = RETEST
    control: str = flag(
        "last-good: bring the last good vLLM up on the same hosts and measure it beside what stays "
        "suspect, before anything fails; or none; default: the case's `judge`"
    )
    against_itself: bool = flag(
        "run the night twice with the same version, and say what judging says of the second one",
        default=False,
    )
    run_type: str = NIGHT_RUN_TYPE
    suite_name: str = flag("name of the suite that the night is of, for its record and its metrics")

    def __post_init__(self) -> None:
        """Refuse what is not a duration before anything is started."""
        super().__post_init__()
        from ci.documents.duration import seconds_of  # noqa: PLC0415

        seconds_of(self.retest_budget, "--retest-budget")
        if self.control not in {"", LAST_GOOD, NO_CONTROL}:
            expected = f"expected {LAST_GOOD} or {NO_CONTROL}"
            raise UserError(f"--control {self.control}: {expected}")
        if unknown := set(listed(self.stages)) - set(STAGES):
            raise UserError(
                f"--stages {', '.join(sorted(unknown))}: unknown; choose of {', '.join(STAGES)}"
            )


@dataclass(frozen=True)
class Plan(Host, Json, Case):
    """The flags of `inv plan`."""


@dataclass(frozen=True)
class Doctor(Json, Case):
    """The flags of `inv doctor`."""


@dataclass(frozen=True)
class Paths:
    """The flag that selects case files."""

    paths: str = flag(
        "case files, folders or names, separated by commas; without `--paths`, separated by "
        "spaces; default: configs/cases"
    )


@dataclass(frozen=True)
class Check(Paths, Settings, Config):
    """The flags of `inv check`."""

    format: str = flag("text, json, or github for annotations of a workflow", "text")


@dataclass(frozen=True)
class Known(Runs, Workspace, Cluster):
    """The flags that select the hosts of a run."""


@dataclass(frozen=True)
class Status(Json, Known):
    """The flags of `inv status`."""


@dataclass(frozen=True)
class Down(DryRun, Known, Run):
    """The flags of `inv down`."""

    all_mine: bool = flag("every run that you started from this machine", default=False)


@dataclass(frozen=True)
class Logs(Follow, Known, Host, Run):
    """The flags of `inv logs`."""


@dataclass(frozen=True)
class Report(Runs, Run):
    """The flags of `inv report`."""


@dataclass(frozen=True)
class Show(Json, Runs, Run):
    """The flags of `inv show`."""


@dataclass(frozen=True)
class Trust(Cluster):
    """The flags of `inv hosts.trust`."""

    yes: bool = flag("trust every key without asking", default=False)


@dataclass(frozen=True)
class Sync(Cluster):
    """The flags of `inv weights.sync`."""

    source: str = flag("the model's folder on this machine")
    target: str = flag("the folder on the hosts; default: the same path")


@dataclass(frozen=True)
class Lab:
    """The flags of `inv lab.down`."""

    name: str = flag("name of the lab, and of its file in configs/clusters", "lab")


@dataclass(frozen=True)
class LabUp(Lab):
    """The flags of `inv lab.up`."""

    hosts: int = flag("number of hosts", 2)
    disk_mb: int = flag("MB that each host may write; default: half of this machine's memory", 0)
    machine: str = flag("architecture of bare Debian hosts, e.g. aarch64, emulated; as root")


@dataclass(frozen=True)
class Versions(Json, Workspace, Device):
    """The flags of `inv versions`."""

    newer: bool = flag(
        "ask the package index for releases that are newer than those listed", default=False
    )


@dataclass(frozen=True)
class Lock:
    """The flags of `inv versions.lock`."""

    version: str = flag("a version of configs/versions.yaml; renew its locks")
    device: str = flag("cpu, cuda or ascend; renew the locks of this kind")
    tool: str = flag("a tool of configs/tools.yaml; renew its lock")
    platform: str = flag("x86_64 or aarch64; default: x86_64, and aarch64 for --device ascend")
    check: bool = flag("only report which locks are missing or stale", default=False)
