"""What the operator chooses of a rendered plan, checked as Kubernetes would. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.model import DEVICES
from ci.errors import UserError

if TYPE_CHECKING:
    from ci.case.model import Case

# Ascend's own device plugin; Huawei Cloud's clusters name theirs huawei.com/ascend-1980.
RESOURCES = {"ascend": "huawei.com/Ascend910", "cuda": "nvidia.com/gpu"}
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# LeaderWorkerSet makes labels of the name with a number and a hash behind it.
LONGEST_NAME = 45
_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_QUANTITY = re.compile(r"\d+(\.\d+)?(m|[kMGTPE]|[KMGTPE]i)?")
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?/[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?")
_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([-\w.]*[A-Za-z0-9])?)?")


@dataclass(frozen=True)
class Options:
    """How a plan becomes pods. An empty text leaves a thing out, or to its default.

    Attributes:
        namespace: where the pods are.
        image: that has vLLM, with `python3` on its PATH.
        pvc: a PersistentVolumeClaim with models, which all pods mount.
        name: of the LeaderWorkerSet; empty makes it of the case's.
        replicas: how many groups, each of which runs the whole plan.
        mount: where the claim is mounted; the workspace is `lamplighter` in it.
        workdir: where the processes start, from which a router's script is found; empty leaves it
            to the image.
        shm: the most that /dev/shm may hold; it counts as the container's memory.
        memory: the container's, as a quantity such as `512Gi`.
        cpu: the container's, as a quantity such as `64`.
        device: the accelerators' kind; empty takes the case's.
        resource: what the cluster calls an accelerator; empty is the kind's usual name.
        interface: the pods' network interface.
        secret: a Secret that holds, under their own names, the variables that look secret.
        pull_secret: a Secret with which the image is pulled.
        tolerations: each `KEY[=VALUE]:EFFECT`, with which pods may run on tainted nodes.
        node_selector: each `KEY=VALUE` that a node has to be labelled with.
        host_paths: folders of the node that pods see read-only, under the same path.
        grace_s: how long the servers have to end.
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
    """Name the LeaderWorkerSet: as chosen, else after the case."""
    if options.name:
        return options.name
    words = re.sub(r"[^a-z0-9]+", "-", case.name.lower()).strip("-")
    name = words if words[:1].isalpha() else f"case-{words}"
    return name[:LONGEST_NAME].strip("-")


def accelerators(case: Case, options: Options) -> tuple[str, int] | None:
    """What one pod needs of accelerators: the resource's name and how many; None of a CPU.

    Raises:
        UserError: the kind is not known, or how many it needs.
    """
    kind = options.device or case.device or ""
    if kind and kind not in DEVICES:
        raise UserError(f"--device {kind}: known are {', '.join(DEVICES)}")
    if kind == "cpu" and not options.resource:
        return None
    resource = options.resource or RESOURCES.get(kind)
    if not resource:
        raise UserError(
            f"{case.path}: device: which accelerators the pods need is not told; give --device "
            f"({', '.join(DEVICES)}), or --resource with the cluster's own name for them",
        )
    if not case.npu_per_node:
        raise UserError(
            f"{case.path}: npu_per_node: is 0, but the pods are to have {resource}; say how many, "
            "or give --device cpu",
        )
    return resource, case.npu_per_node


def check(options: Options, name: str) -> None:
    """Refuse what the cluster would.

    Raises:
        UserError: says which option, and what it has to look like.
    """
    for flag, text, pattern, form in (
        ("namespace", options.namespace, _LABEL, "lower case letters, digits and -, at most 63"),
        ("name", name, _NAME, "lower case letters, digits and -, a letter first"),
        ("pvc", options.pvc, _SUBDOMAIN, "the name of a PersistentVolumeClaim"),
        ("image", options.image, re.compile(r"\S+"), "REGISTRY/NAME:TAG"),
        ("mount", options.mount, re.compile(r"/[^:\s]+"), "a whole path, /…"),
        ("workdir", options.workdir or "/w", re.compile(r"/\S*"), "a whole path, /…"),
        ("shm", options.shm, _QUANTITY, "a quantity such as 512Gi"),
        ("memory", options.memory or "1", _QUANTITY, "a quantity such as 512Gi"),
        ("cpu", options.cpu or "1", _QUANTITY, "a quantity such as 64"),
        ("resource", options.resource or "a/b", _RESOURCE, "e.g. huawei.com/Ascend910"),
        ("secret", options.secret or "a", _SUBDOMAIN, "the name of a Secret"),
        ("pull-secret", options.pull_secret or "a", _SUBDOMAIN, "the name of a Secret"),
        ("interface", options.interface, re.compile(r"[^\s/]+"), "e.g. eth0"),
    ):
        if not pattern.fullmatch(text):
            said = f"--{flag} {text}: has to be" if text else f"give --{flag}:"
            raise UserError(f"{said} {form}")
    if len(name) > LONGEST_NAME:
        raise UserError(f"--name {name}: at most {LONGEST_NAME} characters, so that pods fit")
    if options.replicas < 1 or options.grace_s < 1:
        raise UserError("--replicas and --grace: at least 1")
    for path in options.host_paths:
        if not path.startswith("/") or ":" in path:
            raise UserError(f"--host-path {path}: has to be a whole path, /…")


def toleration(text: str) -> dict[str, str]:
    """Read `KEY[=VALUE]:EFFECT`.

    Raises:
        UserError: it has another form.
    """
    taint, _, effect = text.rpartition(":")
    key, equals, value = taint.partition("=")
    if effect not in EFFECTS or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
        raise UserError(
            f"--tolerate {text}: has to be KEY=VALUE:EFFECT or KEY:EFFECT, EFFECT one of "
            f"{', '.join(EFFECTS)}",
        )
    if not equals:
        return {"key": key, "operator": "Exists", "effect": effect}
    return {"key": key, "operator": "Equal", "value": value, "effect": effect}


def selected(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read `KEY=VALUE` pairs of a node selector.

    Raises:
        UserError: one has another form.
    """
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise UserError(f"--node-selector {pair}: has to be KEY=VALUE")
        found[key] = value
    return found
