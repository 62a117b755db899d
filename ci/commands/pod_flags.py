"""The flags of `inv k8s.*`; see ci/commands/flags.py."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields

from ci.commands.command import flag
from ci.commands.flags import (
    FUNCTIONAL,
    RETEST,
    WAIT,
    Config,
    Device,
    DryRun,
    Follow,
    Host,
    Runs,
    Settings,
    Workspace,
)
from ci.request import NO_CONTROL, Request


@dataclass(frozen=True)
class Pods(Config):
    """The flags that select a LeaderWorkerSet."""

    namespace: str = flag("the namespace of the pods")
    name: str = flag("name of the LeaderWorkerSet; default: from the case's name")


@dataclass(frozen=True)
class Context:
    """The flag that selects the Kubernetes cluster."""

    context: str = flag("context of the kubeconfig; default: the current one")


@dataclass(frozen=True)
class Render(Device, Pods):
    """The flags of `inv k8s.render`."""

    image: str = flag("container image with vLLM, and python3 on its PATH")
    pvc: str = flag("PersistentVolumeClaim with the models, mounted by all pods")
    replicas: int = flag("number of groups; each runs the whole plan", 1)
    mount: str = flag("mount path of the claim", "/root/.cache")
    workdir: str = flag("working directory of the processes; default: the image's")
    shm: str = flag("size limit of /dev/shm", "512Gi")
    memory: str = flag("memory of a container, e.g. 512Gi")
    cpu: str = flag("CPUs of a container, e.g. 64")
    resource: str = flag("resource name of an accelerator, e.g. huawei.com/ascend-1980")
    interface: str = flag("the pods' network interface", "eth0")
    secret: str = flag("Secret with the variables that look secret, under their own names")
    pull_secret: str = flag("Secret to pull the image with")
    tolerate: tuple[str, ...] = flag(
        "KEY[=VALUE]:EFFECT of a node's taint to tolerate; may be repeated", ()
    )
    node_selector: tuple[str, ...] = flag(
        "KEY=VALUE label that a node must have; may be repeated", ()
    )
    host_path: tuple[str, ...] = flag(
        "folder of the node to mount read-only in the pods; may be repeated", ()
    )
    grace: int = flag("seconds that the servers have to stop", 60)


@dataclass(frozen=True)
class Apply(Context, Render):
    """The flags of `inv k8s.apply`."""


@dataclass(frozen=True)
class Nightly(DryRun, Settings, Workspace, Runs, Context, Render):
    """The flags of `inv k8s.nightly`."""

    functional: str = FUNCTIONAL
    retest_budget: str = RETEST
    wait: bool = WAIT

    def __post_init__(self) -> None:
        """Refuse what is not a duration before anything is applied."""
        super().__post_init__()
        from ci.documents.duration import seconds_of  # noqa: PLC0415

        seconds_of(self.retest_budget, "--retest-budget")

    def request(self) -> Request:
        """Return the request that these flags and the command line make."""
        names = {item.name for item in fields(Request)}
        given = {name: value for name, value in vars(self).items() if name in names}
        # Another version on the same hosts would be other pods.
        return Request(**given, argv=tuple(sys.argv), control=NO_CONTROL)


@dataclass(frozen=True)
class Logs(Context, Follow, Host, Pods):
    """The flags of `inv k8s.logs`."""


@dataclass(frozen=True)
class Delete(Context, Pods):
    """The flags of `inv k8s.delete`."""
