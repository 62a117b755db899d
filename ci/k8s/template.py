"""Build the pod templates of a LeaderWorkerSet: container, resources, volumes, variables. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.k8s.options import accelerators, selected, toleration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.k8s.options import Options
    from ci.plan.model import Plan

FOLDER = "/lamplighter"
# Time to kill the remaining processes and print their last lines before Kubernetes kills the pod.
KILL_MARGIN_S = 15

Document = dict[str, Any]


@dataclass(frozen=True)
class Content:
    """Inputs of the pod templates besides the options.

    Attributes:
        env: variables that all processes share.
        secrets: names of the variables that come from the Secret.
        config_map: name of the ConfigMap with plan.json and the program.
        digest: digest of these two files.
    """

    env: Mapping[str, str]
    secrets: Sequence[str]
    config_map: str
    digest: str


def templates(plan: Plan, options: Options, content: Content) -> tuple[Document, Document]:
    """Build the template of the leader, the plan's first host, and that of the workers.

    Raises:
        UserError: an option is invalid.
    """
    first, *others = (host.name for host in plan.hosts)
    leader = _template("leader", plan, [first], options, content)
    return leader, _template("worker", plan, others, options, content)


def _template(
    role: str, plan: Plan, hosts: Sequence[str], options: Options, content: Content
) -> Document:
    spec: Document = {
        "containers": [_container(plan, hosts, options, content)],
        # A Service named vllm would set VLLM_PORT, which vLLM reads.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": options.grace_s + KILL_MARGIN_S,
        "volumes": [volume for volume, _ in _volumes(options, content)],
    }
    if options.tolerations:
        spec["tolerations"] = [toleration(text) for text in options.tolerations]
    if options.node_selector:
        spec["nodeSelector"] = selected(options.node_selector)
    if options.pull_secret:
        spec["imagePullSecrets"] = [{"name": options.pull_secret}]
    # A changed plan must lead to new pods.
    metadata = {"labels": {"role": role}, "annotations": {"lamplighter/plan": content.digest}}
    return {"metadata": metadata, "spec": spec}


def _container(plan: Plan, hosts: Sequence[str], options: Options, content: Content) -> Document:
    """Build the container of all of a host's processes, as containers cannot share accelerators."""
    container: Document = {
        "name": "server",
        "image": options.image,
        "command": ["python3", f"{FOLDER}/pod.py"],
        "env": _environment(options, content),
        "resources": _resources(plan, options),
        "readinessProbe": {
            "exec": {"command": ["python3", f"{FOLDER}/pod.py", "ready"]},
            "periodSeconds": 10,
            "timeoutSeconds": 15,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [mount for _, mount in _volumes(options, content)],
    }
    processes = [process for process in plan.processes if process.host in hosts]
    ports = sorted({port for process in processes for port in process.ports})
    if ports:
        container["ports"] = [{"containerPort": port, "protocol": "TCP"} for port in ports]
    if options.workdir:
        container["workingDir"] = options.workdir
    if accelerators(plan.case, options):
        # Collectives over RDMA pin their send buffers in memory.
        container["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    return container


def _resources(plan: Plan, options: Options) -> Document:
    """Build equal requests and limits, so that no pod is evicted for using more than it asked."""
    wanted = {"cpu": options.cpu, "memory": options.memory}
    amounts = {kind: amount for kind, amount in wanted.items() if amount}
    needed = accelerators(plan.case, options)
    if needed:
        amounts[needed[0]] = str(needed[1])
    return {"requests": amounts, "limits": amounts} if amounts else {}


def _volumes(options: Options, content: Content) -> list[tuple[Document, Document]]:
    """List each volume with the container's mount of it."""
    shm = {"medium": "Memory", "sizeLimit": options.shm}
    of_node = [
        (
            {"name": f"host-{index}", "hostPath": {"path": path}},
            {"name": f"host-{index}", "mountPath": path, "readOnly": True},
        )
        for index, path in enumerate(options.host_paths)
    ]
    return [
        (
            {"name": "plan", "configMap": {"name": content.config_map}},
            {"name": "plan", "mountPath": FOLDER, "readOnly": True},
        ),
        # vLLM's processes, NCCL and HCCL share memory here.
        ({"name": "shm", "emptyDir": shm}, {"name": "shm", "mountPath": "/dev/shm"}),  # noqa: S108
        (
            {"name": "models", "persistentVolumeClaim": {"claimName": options.pvc}},
            {"name": "models", "mountPath": options.mount},
        ),
        *of_node,
    ]


def _environment(options: Options, content: Content) -> list[Document]:
    of_pod = {"fieldRef": {"fieldPath": "status.podIP"}}
    return [
        {"name": "POD_IP", "valueFrom": of_pod},
        {"name": "LAST_WORDS", "value": "/dev/termination-log"},
        *({"name": name, "value": value} for name, value in content.env.items()),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": options.secret, "key": name}}}
            for name in content.secrets
        ),
    ]
