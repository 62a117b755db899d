"""The flags of `inv suite.*` and `inv matrix`; see ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ci.commands.command import flag
from ci.commands.flags import CLUSTER, RESUME, VLLM, DryRun, Json, Run, Runs, Workspace

RUN_TYPE: Any = flag("pr, daily, weekly, or another run type of the suite", "daily")


HOSTS_OF: Any = flag(
    "whose hosts --on names: a cluster file's path, or its name in configs/clusters"
)


@dataclass(frozen=True)
class Selection(Runs):
    """The flags that select nights of a suite."""

    suite: str = flag(
        "suite: a path, or a name in configs/suites; a matrix.yaml of vllm-cibench is one, too",
        "daily",
    )
    run_type: str = RUN_TYPE
    filter: str = flag(
        "only nights whose name, case file, tag or owner is this or matches it, e.g. 'Qwen3-*'; "
        "several with commas"
    )


UNTIL: Any = flag("time of day at which the last night has to end; default: the suite's window")


@dataclass(frozen=True)
class Plan(Json, Selection):
    """The flags of `inv suite.plan`."""

    cluster: str = CLUSTER
    until: str = UNTIL


@dataclass(frozen=True)
class SuiteRun(DryRun, Workspace, Selection):
    """The flags of `inv suite.run`."""

    cluster: str = CLUSTER
    until: str = UNTIL
    now: bool = flag("begin at once, whatever the suite's window says", default=False)
    vllm: str = VLLM
    skip_doctor: bool = flag("do not examine the hosts first", default=False)
    resume: str = RESUME


@dataclass(frozen=True)
class SuiteNight:
    """The flags of `inv suite.night`."""

    order: str = flag("the file that `inv suite.run` wrote")


@dataclass(frozen=True)
class SuiteStatus(Json, Runs, Run):
    """The flags of `inv suite.status`."""


@dataclass(frozen=True)
class SuiteReport(Runs, Run):
    """The flags of `inv suite.report`."""


@dataclass(frozen=True)
class Matrix(Selection):
    """The flags of `inv matrix`."""

    github: bool = flag("as a workflow of GitHub Actions reads it", default=False)


@dataclass(frozen=True)
class Release:
    """The flags of `inv hosts.release`."""

    cluster: str = HOSTS_OF
    on: str = flag(
        "these hosts of the cluster file, separated by commas; `inv hosts.quarantine` "
        "lists those that are out"
    )


@dataclass(frozen=True)
class Quarantine:
    """The flags of `inv hosts.quarantine`."""

    cluster: str = HOSTS_OF
    on: str = flag(
        "these hosts of the cluster file, separated by commas; default: none, and those "
        "that are out are listed"
    )
    reason: str = flag("why the hosts take no nights, for whoever finds them missing")
