"""`inv k8s.*`: a case's plan as a LeaderWorkerSet, and what becomes of it in a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.case.load import load_one
from ci.errors import ExitCode, UserError
from ci.k8s import kubectl
from ci.k8s.options import Options, name_of
from ci.k8s.render import planned
from ci.k8s.render import render as manifest
from ci.paths import CASES

if TYPE_CHECKING:
    from ci.commands.pod_flags import Apply, Delete, Logs, Pods, Render


def render(flags: Render) -> str:
    """Write the manifest.

    Raises:
        UserError: the case or an option is wrong.
    """
    options = Options(
        namespace=flags.namespace,
        image=flags.image,
        pvc=flags.pvc,
        name=flags.name,
        replicas=flags.replicas,
        mount=flags.mount,
        workdir=flags.workdir,
        shm=flags.shm,
        memory=flags.memory,
        cpu=flags.cpu,
        device=flags.device,
        resource=flags.resource,
        interface=flags.interface,
        secret=flags.secret,
        pull_secret=flags.pull_secret,
        tolerations=flags.tolerate,
        node_selector=flags.node_selector,
        host_paths=flags.host_path,
        grace_s=flags.grace,
    )
    return manifest(planned(load_one(flags.config, CASES), options), options)


def apply(flags: Apply) -> str:
    """Make the cluster what the manifest says; returns what kubectl says of each object.

    Raises:
        UserError: the case or an option is wrong, or there is no kubectl.
        InfrastructureError: kubectl failed.
    """
    return kubectl.apply(render(flags), context=flags.context)


def logs(flags: Logs) -> ExitCode:
    """Print the logs of all pods, or of one host's.

    Raises:
        UserError: the pods are not named, or there is no kubectl.
        InfrastructureError: kubectl failed.
    """
    if flags.host and not flags.host.isdecimal():
        raise UserError(f"--host {flags.host}: give the host's index in the plan, a whole number")
    host = int(flags.host) if flags.host else None
    name = _name(flags)
    kubectl.logs(name, flags.namespace, host=host, follow=flags.follow, context=flags.context)
    return ExitCode.PASS


def delete(flags: Delete) -> str:
    """Take the LeaderWorkerSet away; returns what kubectl says of each object.

    Raises:
        UserError: it is not named, or there is no kubectl.
        InfrastructureError: kubectl failed, or the pods did not end in time.
    """
    return kubectl.delete(_name(flags), flags.namespace, context=flags.context)


def _name(flags: Pods) -> str:
    if not flags.namespace or not (flags.name or flags.config):
        raise UserError("give --namespace, and --name or the --config that it was made of")
    return flags.name or name_of(load_one(flags.config, CASES), Options(flags.namespace, "", ""))
