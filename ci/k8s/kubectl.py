"""Hands rendered manifests to a cluster: every effect of this package goes through kubectl."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

ANSWER_S = 120.0
DELETED_S = 300.0
LABEL = "leaderworkerset.sigs.k8s.io/name"
MOST_PODS = 64  # kubectl follows no more than 5 logs at once unless told
_ADVICE = {
    "no matches for kind": "install LeaderWorkerSet in the cluster first: https://lws.sigs.k8s.io",
    "namespaces": "make the namespace, or mend --namespace",
    "connection to the server": "is the cluster up, and KUBECONFIG the right one?",
    "forbidden": "your account in the cluster may not do that; ask who runs it",
}


def apply(manifest: str, *, context: str = "") -> str:
    """Make the cluster what a manifest says.

    Args:
        manifest: from `ci.k8s.render`; it names its own namespace.
        context: of the kubeconfig; empty takes the current one.

    Returns:
        What kubectl says of each object.

    Raises:
        UserError: there is no kubectl.
        InfrastructureError: it failed, or did not answer in time.
    """
    return _answer([*_kubectl(context), "apply", "-f", "-"], ANSWER_S, manifest)


def delete(name: str, namespace: str, *, context: str = "") -> str:
    """Take a LeaderWorkerSet away, with its Service and ConfigMap; what is not there is no error.

    Raises:
        UserError: there is no kubectl.
        InfrastructureError: it failed, or the pods did not end in time.
    """
    objects = [
        f"leaderworkersets.leaderworkerset.x-k8s.io/{name}",
        f"service/{name}-endpoint",
        f"configmap/{name}-plan",
    ]
    patience = ["--ignore-not-found", "--cascade=foreground", f"--timeout={DELETED_S:g}s"]
    argv = [*_kubectl(context), "-n", namespace, "delete", *objects, *patience]
    return _answer(argv, DELETED_S + ANSWER_S)


def logs(
    name: str,
    namespace: str,
    *,
    host: int | None = None,
    follow: bool = False,
    context: str = "",
) -> None:
    """Print the logs of all pods, each line under its pod's name, or of one host's pods.

    Args:
        name: of the LeaderWorkerSet.
        namespace: where it is.
        host: the index of a host in the plan; None for all.
        follow: go on as they grow, until interrupted or the pods are gone.
        context: of the kubeconfig.

    Raises:
        UserError: there is no kubectl.
        InfrastructureError: it failed; its own message is on the terminal already.
    """
    selector = f"{LABEL}={name}"
    if host is not None:
        selector += f",leaderworkerset.sigs.k8s.io/worker-index={host}"
    argv = [*_kubectl(context), "-n", namespace, "logs", "-l", selector, "--prefix", "--tail=-1"]
    argv += [f"--max-log-requests={MOST_PODS}", "--follow"] if follow else []
    code = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode
    if code:
        raise InfrastructureError(f"kubectl logs of {name} in {namespace} ended with {code}")


def _kubectl(context: str) -> list[str]:
    found = shutil.which("kubectl")
    if not found:
        raise UserError(
            "kubectl is not on the PATH: install it (https://kubernetes.io/docs/tasks/tools/), or "
            "write the manifest with `inv k8s.render` and apply it where kubectl is",
        )
    return [found, *(["--context", context] if context else [])]


def _answer(argv: Sequence[str], timeout_s: float, text: str = "") -> str:
    what = f"kubectl {next(word for word in ('apply', 'delete') if word in argv)}"
    try:
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, input=text, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"{what}: no answer within {timeout_s:g} s; look at the cluster with kubectl get pods",
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        advice = next((more for sign, more in _ADVICE.items() if sign in said), "")
        raise InfrastructureError(
            f"{what} ended with {done.returncode}: {said}" + (f"; {advice}" if advice else ""),
        )
    return done.stdout
