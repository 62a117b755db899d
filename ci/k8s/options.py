"""The operator's options for a rendered plan, validated as Kubernetes would. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.errors import UserError

if TYPE_CHECKING:
    from ci.case.model import Case

# The name in Ascend's device plugin; Huawei Cloud's clusters use huawei.com/ascend-1980.
RESOURCES = {"ascend": "huawei.com/Ascend910", "cuda": "nvidia.com/gpu"}
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# LeaderWorkerSet makes labels of the name, a number and a hash.
MAX_NAME_CHARS = 45
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?")


@dataclass(frozen=True)
class Options:
    """Options for rendering a plan as pods. An empty text means the default, or none.

    Attributes:
        namespace: namespace of all objects.
        image: container image with vLLM, and `python3` on its PATH.
        pvc: a PersistentVolumeClaim with models, which all pods mount.
        name: name of the LeaderWorkerSet; empty derives it from the case's name.
        replicas: number of groups; each runs the whole plan.
        mount: folder where the claim is mounted; the workspace is `lamplighter` in it.
        workdir: working folder of the processes, in which a router's script is looked up; empty
            takes the image's.
        shm: size limit of /dev/shm; it counts as the container's memory.
        memory: memory of the container, as a quantity such as `512Gi`.
        cpu: CPUs of the container, as a quantity such as `64`.
        device: the device kind; empty takes the case's.
        resource: the cluster's resource name for an accelerator; empty takes the usual name.
        interface: the pods' network interface.
        secret: a Secret with the variables that look secret, under their own names.
        pull_secret: a Secret for pulling the image.
        tolerations: each `KEY[=VALUE]:EFFECT`; lets pods run on tainted nodes.
        node_selector: each `KEY=VALUE`; a label that nodes must have.
        host_paths: folders of the node, mounted read-only in pods under the same path.
        grace_s: seconds that servers get to end before they are killed.
    """

    namespace: str
    image: str
    pvc: str
    name: str = ""
    replicas: int = 1
    mount: str = "/root/.cache"
    workdir: str = ""
    shm: str = "512Gi"
    memory: str = ""
    cpu: str = ""
    device: str = ""
    resource: str = ""
    interface: str = "eth0"
    secret: str = ""
    pull_secret: str = ""
    tolerations: tuple[str, ...] = ()
    node_selector: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    grace_s: int = 60


def name_of(case: Case, options: Options) -> str:
    """Return the name of the LeaderWorkerSet: the chosen one, else derived from the case's name."""
    if options.name:
        return options.name
    words = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
    name = words if words[:1].isalpha() else f"case-{words}"
    return name[:MAX_NAME_CHARS].strip("-")


def accelerators(case: Case, options: Options) -> tuple[str, int] | None:
    """Return the resource name and the number of accelerators of a pod; None for a CPU.

    Raises:
        UserError: the device kind or the number is unknown.
    """
    kind = options.device or case.device or ""
    if kind and kind not in DEVICES:
        raise UserError(f"--device {kind}: unknown; choose one of {', '.join(DEVICES)}")
    if kind == "cpu" and not options.resource:
        return None
    resource = options.resource or RESOURCES.get(kind)
    if not resource:
        raise UserError(
            f"{case.path}: device: not set, so the pods' accelerators are unknown; give --device "
            f"({', '.join(DEVICES)}), or --resource with the cluster's name for them",
        )
    if not case.npu_per_node:
        raise UserError(
            f"{case.path}: npu_per_node: is 0, but the pods need {resource}; set npu_per_node, "
            "or give --device cpu",
        )
    return resource, case.npu_per_node


def validate(options: Options, name: str) -> None:
    """Refuse options that the cluster would refuse.

    Raises:
        UserError: an option has the wrong form.
    """
    for flag, text, pattern, form in (
        ("namespace", options.namespace, _LABEL, "lower case letters, digits and -, at most 63"),
        ("name", name, _NAME, "lower case letters, digits and -, starting with a letter"),
        ("pvc", options.pvc, _SUBDOMAIN, "the name of a PersistentVolumeClaim"),
        ("image", options.image, re.compile(r"\S+"), "REGISTRY/NAME:TAG"),
        ("mount", options.mount, re.compile(r"/[^:\s]+"), "an absolute path, /…"),
        ("workdir", options.workdir or "/w", re.compile(r"/\S*"), "an absolute path, /…"),
        ("shm", options.shm, _QUANTITY, "a quantity such as 512Gi"),
        ("memory", options.memory or "1", _QUANTITY, "a quantity such as 512Gi"),
        ("cpu", options.cpu or "1", _QUANTITY, "a quantity such as 64"),
        ("resource", options.resource or "a/b", _RESOURCE, "e.g. huawei.com/Ascend910"),
        ("secret", options.secret or "a", _SUBDOMAIN, "the name of a Secret"),
        ("pull-secret", options.pull_secret or "a", _SUBDOMAIN, "the name of a Secret"),
        ("interface", options.interface, re.compile(r"[^\s/]+"), "e.g. eth0"),
    ):
        if not pattern.fullmatch(text):
            begin = f"--{flag} {text}: expected" if text else f"give --{flag}:"
            raise UserError(f"{begin} {form}")
    if len(name) > MAX_NAME_CHARS:
        raise UserError(f"--name {name}: expected at most {MAX_NAME_CHARS} characters")
    if options.replicas < 1 or options.grace_s < 1:
        raise UserError("--replicas and --grace: expected at least 1")
    for path in options.host_paths:
        if not path.startswith("/") or ":" in path:
            raise UserError(f"--host-path {path}: expected an absolute path, /…")


def toleration(text: str) -> dict[str, str]:
    """Parse `KEY[=VALUE]:EFFECT`.

    Raises:
        UserError: the text has another form.
    """
    taint, _, effect = text.rpartition(":")
    key, equals, value = taint.partition("=")
    if effect not in EFFECTS or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
        raise UserError(
            f"--tolerate {text}: expected KEY=VALUE:EFFECT or KEY:EFFECT, EFFECT one of "
            f"{', '.join(EFFECTS)}",
        )
    if not equals:
        return {"key": key, "operator": "Exists", "effect": effect}
    return {"key": key, "operator": "Equal", "value": value, "effect": effect}


def selected(pairs: tuple[str, ...]) -> dict[str, str]:
    """Parse the `KEY=VALUE` pairs of a node selector.

    Raises:
        UserError: a pair has another form.
    """
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise UserError(f"--node-selector {pair}: expected KEY=VALUE")
        labels[key] = value
    return labels
