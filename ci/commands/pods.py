"""`inv k8s.*`: a case's plan as a LeaderWorkerSet: render, apply, read logs, delete."""

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
    """Return the manifest.

    Raises:
        UserError: the case or an option is wrong.
    """
    options = options_of(flags)
    return manifest(planned(load_one(flags.config, CASES), options), options)


def options_of(flags: Render) -> Options:
    """Return the options that the flags give."""
    return Options(
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


def apply(flags: Apply) -> str:
    """Apply the manifest with kubectl; return kubectl's line about each object.

    Raises:
        UserError: the case or an option is wrong, or kubectl is not installed.
        InfrastructureError: kubectl failed.
    """
    return kubectl.apply(render(flags), context=flags.context)


def logs(flags: Logs) -> ExitCode:
    """Print the logs of all pods, or of the pods of one host.

    Raises:
        UserError: the pods are not named, or kubectl is not installed.
        InfrastructureError: kubectl failed.
    """
    if flags.host and not flags.host.isdecimal():
        raise UserError(f"--host {flags.host}: expected the host's index in the plan, an integer")
    host = int(flags.host) if flags.host else None
    name = _name(flags)
    kubectl.logs(name, flags.namespace, host=host, follow=flags.follow, context=flags.context)
    return ExitCode.PASS


def delete(flags: Delete) -> str:
    """Delete the LeaderWorkerSet; return kubectl's line about each object.

    Raises:
        UserError: the LeaderWorkerSet is not named, or kubectl is not installed.
        InfrastructureError: kubectl failed, or the pods did not end in time.
    """
    return kubectl.delete(_name(flags), flags.namespace, context=flags.context)


def _name(flags: Pods) -> str:
    if not flags.namespace or not (flags.name or flags.config):
        raise UserError("give --namespace, and --name or the --config that it was made from")
    return flags.name or name_of(load_one(flags.config, CASES), Options(flags.namespace, "", ""))
