"""Apply and delete rendered manifests, look at their pods and follow their logs, with kubectl."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from ci.errors import InfrastructureError, UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

ANSWER_S = 120.0
DELETED_S = 300.0
LABEL = "leaderworkerset.sigs.k8s.io/name"
# A log is read whole.
MAX_LOG_BYTES = 256 << 20
MAX_PODS = 64  # kubectl follows 5 logs at once by default
_VERBS = ("apply", "delete", "get", "logs")
_ADVICE = {
    "no matches for kind": "install LeaderWorkerSet in the cluster first: https://lws.sigs.k8s.io",
    'namespaces "': "create the namespace, or correct --namespace",
    "connection to the server": "check that the cluster is up and KUBECONFIG is right",
    "exceeded quota": "the namespace's quota is used up: delete what is left, or ask for more",
    "forbidden": "your account may not do that; ask the cluster's administrator",
}


def apply(manifest: str, *, context: str = "") -> str:
    """Apply a manifest to a cluster.

    Args:
        manifest: from `ci.k8s.render`; it contains its namespace.
        context: context of the kubeconfig; empty takes the current context.

    Returns:
        kubectl's output, a line per object.

    Raises:
        UserError: kubectl is not installed.
        InfrastructureError: kubectl failed or timed out.
    """
    return _output([*_kubectl(context), "apply", "-f", "-"], ANSWER_S, manifest)


def delete(name: str, namespace: str, *, context: str = "") -> str:
    """Delete a LeaderWorkerSet, its Service and its ConfigMap; missing objects are no error.

    Args:
        name: name of the LeaderWorkerSet.
        namespace: its namespace.
        context: context of the kubeconfig; empty takes the current context.

    Returns:
        kubectl's output, a line per object.

    Raises:
        UserError: kubectl is not installed.
        InfrastructureError: kubectl failed, or the pods did not end in time.
    """
    objects = [
        f"leaderworkersets.leaderworkerset.x-k8s.io/{name}",
        f"service/{name}-endpoint",
        f"configmap/{name}-plan",
    ]
    options = ["--ignore-not-found", "--cascade=foreground", f"--timeout={DELETED_S:g}s"]
    argv = [*_kubectl(context), "-n", namespace, "delete", *objects, *options]
    return _output(argv, DELETED_S + ANSWER_S)


def logs(
    name: str,
    namespace: str,
    *,
    host: int | None = None,
    follow: bool = False,
    context: str = "",
) -> None:
    """Print the logs of all pods, or of a host's pods, each line with the pod's name.

    Args:
        name: name of the LeaderWorkerSet.
        namespace: its namespace.
        host: the index of a host in the plan; None for all hosts.
        follow: follow the logs until interrupted or until the pods end.
        context: context of the kubeconfig; empty takes the current context.

    Raises:
        UserError: kubectl is not installed.
        InfrastructureError: kubectl failed; its message is already on the terminal.
    """
    selector = f"{LABEL}={name}"
    if host is not None:
        selector += f",leaderworkerset.sigs.k8s.io/worker-index={host}"
    argv = [*_kubectl(context), "-n", namespace, "logs", "-l", selector, "--prefix", "--tail=-1"]
    argv += [f"--max-log-requests={MAX_PODS}", "--follow"] if follow else []
    code = subprocess.run(argv, check=False, stdin=subprocess.DEVNULL).returncode
    if code:
        raise InfrastructureError(f"kubectl logs of {name} in {namespace} ended with {code}")


def pods(name: str, namespace: str, *, context: str = "") -> list[dict[str, Any]]:
    """Return the pods of a LeaderWorkerSet, as the API server has them.

    Raises:
        UserError: kubectl is not installed.
        InfrastructureError: kubectl failed, or its output is no list.
    """
    return _items(["pods", "-l", f"{LABEL}={name}"], namespace, context)


def events(names: Collection[str], namespace: str, *, context: str = "") -> list[dict[str, Any]]:
    """Return the events about some objects; errors as of `pods`."""
    found = _items(["events"], namespace, context)
    return [each for each in found if (each.get("involvedObject") or {}).get("name") in names]


def exists(name: str, namespace: str, *, context: str = "") -> bool:
    """Return whether there is a LeaderWorkerSet of this name; errors as of `pods`."""
    kind = "leaderworkersets.leaderworkerset.x-k8s.io"
    argv = [*_kubectl(context), "-n", namespace, "get", kind, name, "--ignore-not-found"]
    return bool(_output([*argv, "-o", "name"], ANSWER_S).strip())


def log_of(pod: str, namespace: str, *, context: str = "", previous: bool = False) -> str:
    """Return the log of a pod.

    Args:
        pod: its name.
        namespace: its namespace.
        context: context of the kubeconfig.
        previous: that of the container before the last restart.

    Raises:
        InfrastructureError: kubectl failed, such as for a pod that has not begun.
    """
    argv = [*_kubectl(context), "-n", namespace, "logs", pod, "-c", "server", "--tail=-1"]
    argv.append(f"--limit-bytes={MAX_LOG_BYTES}")
    return _output([*argv, *(["--previous"] if previous else [])], ANSWER_S)


def delete_file(path: str, namespace: str, *, context: str = "") -> str:
    """Delete the objects of a manifest; missing objects are no error.

    Raises:
        InfrastructureError: kubectl failed, or the objects were not gone in time.
    """
    options = ["--ignore-not-found", f"--timeout={DELETED_S:g}s"]
    argv = [*_kubectl(context), *(["-n", namespace] if namespace else []), "delete", "-f", path]
    return _output([*argv, *options], DELETED_S + ANSWER_S)


def forward_argv(pod: str, namespace: str, port: int, *, context: str = "") -> list[str]:
    """Return the command that forwards a free port of this machine to a port of a pod."""
    where = ["-n", namespace, "port-forward", "--address=127.0.0.1", f"pod/{pod}", f":{port}"]
    return [*_kubectl(context), *where]


def _items(what: Sequence[str], namespace: str, context: str) -> list[dict[str, Any]]:
    text = _output([*_kubectl(context), "-n", namespace, "get", *what, "-o", "json"], ANSWER_S)
    try:
        items = json.loads(text)["items"]
        return [dict(item) for item in items]
    except (ValueError, KeyError, TypeError) as error:
        raise InfrastructureError(f"kubectl get {what[0]} returned no list: {error}") from None


def require_kubectl() -> None:
    """Check that kubectl is installed.

    Raises:
        UserError: it is not on the PATH.
    """
    _kubectl("")


def _kubectl(context: str) -> list[str]:
    kubectl = shutil.which("kubectl")
    if not kubectl:
        raise UserError(
            "kubectl is not on the PATH: install it (https://kubernetes.io/docs/tasks/tools/), or "
            "write the manifest with `inv k8s.render` and apply it on a machine with kubectl",
        )
    return [kubectl, *(["--context", context] if context else [])]


def _output(argv: Sequence[str], timeout_s: float, text: str = "") -> str:
    command = f"kubectl {next(word for word in _VERBS if word in argv)}"
    try:
        ended = subprocess.run(
            argv,
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
            input=text,
            timeout=timeout_s,
            # Ctrl-C at a terminal reaches this program alone, which deletes what it has applied.
            start_new_session=True,
        )
    except subprocess.TimeoutExpired:
        raise InfrastructureError(
            f"{command}: no answer within {timeout_s:g} s; check the cluster with kubectl get pods",
        ) from None
    if ended.returncode:
        output = (ended.stderr or ended.stdout).strip()
        advice = next((advice for words, advice in _ADVICE.items() if words in output), "")
        raise InfrastructureError(
            f"{command} ended with {ended.returncode}: {output}"
            + (f"; {advice}" if advice else ""),
        )
    return ended.stdout
