"""The flags of every command: each is stated once, in a group that commands share.

Of several bases, the flags of the last come first, as dataclasses have it. Imports the standard
library only, as listing the tasks does.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from ci.commands.command import flag

if TYPE_CHECKING:
    from ci.commands.nightly import Manner
    from ci.resolve import Selection


@dataclass(frozen=True)
class Config:
    """Which case."""

    config: str = flag(
        "case file: a path, or a name in configs/cases (with or without .yaml); FILE#NAME "
        "chooses one of several cases in it"
    )


@dataclass(frozen=True)
class Cluster(Config):
    """Which hosts."""

    cluster: str = flag(
        "which hosts: a cluster file's path, or its name in configs/clusters; default: the case's "
        "cluster_hosts"
    )

    def options(self) -> Selection:
        """Take those flags that choose a case and its hosts."""
        from ci.resolve import Selection  # noqa: PLC0415 - slow

        chosen = {one.name for one in fields(Selection)}
        return Selection(**{name: value for name, value in vars(self).items() if name in chosen})


@dataclass(frozen=True)
class Device:
    """Which kind of machine."""

    device: str = flag(
        "cpu, cuda or ascend; default: the case's `device`, else what this machine has"
    )


@dataclass(frozen=True)
class Workspace:
    """Where everything lies on a host."""

    workspace: str = flag(
        "folder on the hosts for environments, models and runs' state; default: the cluster "
        "file's, on this machine $LAMPLIGHTER_WORKSPACE, else ~/.cache/lamplighter"
    )


@dataclass(frozen=True)
class Runs:
    """Where records are."""

    runs: str = flag("folder that has one folder per run", "runs")


@dataclass(frozen=True)
class Run:
    """Which run."""

    run: str = flag("the run's id, as `inv status` and the folder `runs` show it")


@dataclass(frozen=True)
class Host:
    """Which of the hosts."""

    host: str = flag("only this host's: its name; in a plan or for pods also its index from 0")


@dataclass(frozen=True)
class Follow:
    """How long logs are read."""

    follow: bool = flag("go on as they grow, until what writes them has ended", default=False)


@dataclass(frozen=True)
class Json:
    """For a program."""

    json: bool = flag("print it as JSON", default=False)


@dataclass(frozen=True)
class _Here:
    local: bool = flag("run on this machine, whatever cluster_hosts the case names", default=False)
    vllm: str = flag(
        "vLLM version of configs/versions.yaml to make and use; default: the case's `vllm`"
    )


@dataclass(frozen=True)
class Case(Workspace, Device, _Here, Cluster):
    """A case, and where it is to run."""


@dataclass(frozen=True)
class Up(Runs, Case):
    """A night that keeps its servers."""

    skip_doctor: bool = flag("do not examine the hosts first", default=False)
    wait: bool = flag("queue for hosts that another run holds, instead of giving up", default=False)

    def manner(self, *, keep: bool) -> Manner:
        """Take those flags that say how a night is run."""
        from ci.commands.nightly import Manner  # noqa: PLC0415 - slow

        return Manner(self.runs, sys.argv, doctor=not self.skip_doctor, wait=self.wait, keep=keep)


@dataclass(frozen=True)
class Nightly(Up):
    """A night."""

    keep: bool = flag("leave the servers running afterwards, for 12 hours", default=False)


@dataclass(frozen=True)
class Plan(Host, Json, Case):
    """What a night would do."""


@dataclass(frozen=True)
class Doctor(Json, Case):
    """An examination of hosts."""


@dataclass(frozen=True)
class Check:
    """Case files to be checked."""

    paths: str = flag(
        "case files, folders or names, separated by commas; or after `--`, as the shell gives "
        "them; default: configs/cases"
    )
    format: str = flag("text, json, or github for annotations of a workflow", "text")


@dataclass(frozen=True)
class Known(Runs, Workspace, Cluster):
    """Hosts on which runs may be."""


@dataclass(frozen=True)
class Status(Json, Known):
    """What is on the hosts."""


@dataclass(frozen=True)
class Down(Known, Run):
    """Runs to be ended."""

    all_mine: bool = flag("every run that you started from this machine", default=False)


@dataclass(frozen=True)
class Logs(Follow, Known, Host, Run):
    """A run's logs."""


@dataclass(frozen=True)
class Report(Runs, Run):
    """A run whose reports are written again."""


@dataclass(frozen=True)
class Fetch(Workspace):
    """A dataset to be downloaded."""

    name: str = flag("gsm8k or aime2024; default: all that can be fetched")


@dataclass(frozen=True)
class Trust(Cluster):
    """Keys of hosts."""

    yes: bool = flag("believe every key that is shown, without asking", default=False)


@dataclass(frozen=True)
class Sync(Cluster):
    """A model's folder to be copied."""

    source: str = flag("a folder of this machine")
    target: str = flag("the folder on the hosts; default: the same path")


@dataclass(frozen=True)
class Lab:
    """Hosts made on this machine."""

    name: str = flag("of the lab, and of its file in configs/clusters", "lab")


@dataclass(frozen=True)
class LabUp(Lab):
    """Hosts to be made on this machine."""

    hosts: int = flag("how many", 2)
    disk_mb: int = flag("how much each host may write; default: half of this machine's memory", 0)


@dataclass(frozen=True)
class Versions(Json, Workspace, Device):
    """Versions of vLLM."""

    newer: bool = flag(
        "ask the package index for releases that are newer than what is listed", default=False
    )


@dataclass(frozen=True)
class Lock:
    """Locks to be renewed."""

    version: str = flag("of configs/versions.yaml; renew its locks")
    device: str = flag("cpu, cuda or ascend; renew the locks of this kind")
    tool: str = flag("of configs/tools.yaml; renew its lock")
    platform: str = flag("x86_64 or aarch64; default: x86_64, and aarch64 for --device ascend")
    check: bool = flag("make nothing, only say which locks are missing or stale", default=False)
