"""The flags of `inv k8s.*`, as in ci/commands/flags.py."""

from __future__ import annotations

from dataclasses import dataclass

from ci.commands.command import flag
from ci.commands.flags import Config, Device, Follow, Host


@dataclass(frozen=True)
class Pods(Config):
    """A LeaderWorkerSet."""

    namespace: str = flag("where the pods are")
    name: str = flag("of the LeaderWorkerSet; default: after the case")


@dataclass(frozen=True)
class Context:
    """Which Kubernetes cluster."""

    context: str = flag("of the kubeconfig; default: the current one")


@dataclass(frozen=True)
class Render(Device, Pods):
    """A plan as a LeaderWorkerSet."""

    image: str = flag("that has vLLM, and python3 on its PATH")
    pvc: str = flag("the PersistentVolumeClaim with the models, which all pods mount")
    replicas: int = flag("how many groups, each of which runs the whole plan", 1)
    mount: str = flag("where the claim is mounted", "/root/.cache")
    workdir: str = flag("where the processes start; default: the image's")
    shm: str = flag("the most that /dev/shm may hold", "512Gi")
    memory: str = flag("of a container, e.g. 512Gi")
    cpu: str = flag("of a container, e.g. 64")
    resource: str = flag("what the cluster calls an accelerator, e.g. huawei.com/ascend-1980")
    interface: str = flag("the pods' network interface", "eth0")
    secret: str = flag("a Secret with the variables that look secret, under their own names")
    pull_secret: str = flag("a Secret with which the image is pulled")
    tolerate: tuple[str, ...] = flag(
        "KEY[=VALUE]:EFFECT of tainted nodes that pods may run on; may be repeated", ()
    )
    node_selector: tuple[str, ...] = flag(
        "KEY=VALUE that a node has to be labelled with; may be repeated", ()
    )
    host_path: tuple[str, ...] = flag(
        "a folder of the node that pods see read-only; may be repeated", ()
    )
    grace: int = flag("seconds that the servers have to end", 60)


@dataclass(frozen=True)
class Apply(Context, Render):
    """A LeaderWorkerSet to be made in a cluster."""


@dataclass(frozen=True)
class Logs(Context, Follow, Host, Pods):
    """The pods' logs."""


@dataclass(frozen=True)
class Delete(Context, Pods):
    """A LeaderWorkerSet to be taken away."""
