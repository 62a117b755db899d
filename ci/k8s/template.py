"""The pods of a LeaderWorkerSet: one container, its resources, volumes and environment. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.k8s.options import accelerators, selected, toleration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.k8s.options import Options
    from ci.plan.model import Plan

FOLDER = "/lamplighter"
# To kill what did not end, and to bring its last lines out, before Kubernetes kills the pod.
LAST_S = 15

Document = dict[str, Any]


@dataclass(frozen=True)
class Content:
    """What the pods hold besides the options.

    Attributes:
        env: that all processes share.
        secrets: variables that come from the Secret.
        config_map: holds the plan and what starts it.
        digest: of the two.
    """

    env: Mapping[str, str]
    secrets: Sequence[str]
    config_map: str
    digest: str


def templates(plan: Plan, options: Options, content: Content) -> tuple[Document, Document]:
    """Make the leader's pod, which is the plan's first host, and the workers', all the others.

    Raises:
        UserError: an option is wrong.
    """
    first, *others = (host.name for host in plan.hosts)
    leader = _template("leader", plan, [first], options, content)
    return leader, _template("worker", plan, others, options, content)


def _template(
    role: str, plan: Plan, hosts: Sequence[str], options: Options, content: Content
) -> Document:
    spec: Document = {
        "containers": [_container(plan, hosts, options, content)],
        # The variables of a Service, e.g. VLLM_PORT of one called vllm, would be taken for ours.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": options.grace_s + LAST_S,
        "volumes": [volume for volume, _ in _volumes(options, content)],
    }
    if options.tolerations:
        spec["tolerations"] = [toleration(one) for one in options.tolerations]
    if options.node_selector:
        spec["nodeSelector"] = selected(options.node_selector)
    if options.pull_secret:
        spec["imagePullSecrets"] = [{"name": options.pull_secret}]
    # A plan that changed makes new pods.
    metadata = {"labels": {"role": role}, "annotations": {"lamplighter/plan": content.digest}}
    return {"metadata": metadata, "spec": spec}


def _container(plan: Plan, hosts: Sequence[str], options: Options, content: Content) -> Document:
    """One for all of a host's processes: accelerators cannot be split among several."""
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
    ports = sorted({port for one in plan.processes if one.host in hosts for port in one.ports})
    if ports:
        container["ports"] = [{"containerPort": port, "protocol": "TCP"} for port in ports]
    if options.workdir:
        container["workingDir"] = options.workdir
    if accelerators(plan.case, options):
        # Collectives over RDMA pin the memory that they send from.
        container["securityContext"] = {"capabilities": {"add": ["IPC_LOCK"]}}
    return container


def _resources(plan: Plan, options: Options) -> Document:
    """What is asked for and what is allowed are the same, so that no pod is evicted for more."""
    need = {"cpu": options.cpu, "memory": options.memory}
    amounts = {kind: amount for kind, amount in need.items() if amount}
    of_kind = accelerators(plan.case, options)
    if of_kind:
        amounts[of_kind[0]] = str(of_kind[1])
    return {"requests": amounts, "limits": amounts} if amounts else {}


def _volumes(options: Options, content: Content) -> list[tuple[Document, Document]]:
    """Each volume, and where the container mounts it."""
    shm = {"medium": "Memory", "sizeLimit": options.shm}
    of_node = [
        (
            {"name": f"host-{at}", "hostPath": {"path": path}},
            {"name": f"host-{at}", "mountPath": path, "readOnly": True},
        )
        for at, path in enumerate(options.host_paths)
    ]
    return [
        (
            {"name": "plan", "configMap": {"name": content.config_map}},
            {"name": "plan", "mountPath": FOLDER, "readOnly": True},
        ),
        # Where vLLM's processes, NCCL and HCCL share memory.
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
