"""Render a plan as a ConfigMap, a Service and a LeaderWorkerSet in YAML. Pure.

https://lws.sigs.k8s.io/docs/reference/leaderworkerset.v1/
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.documents.address import url_of
from ci.errors import UserError
from ci.k8s.document import dump
from ci.k8s.options import name_of, validate
from ci.k8s.payload import payload, secret_names, shared, without
from ci.k8s.template import Content, templates
from ci.plan.build import build
from ci.plan.inputs import PlanInputs
from ci.plan.model import Host

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.case.model import Case
    from ci.k8s.options import Options
    from ci.k8s.template import Document
    from ci.plan.model import Plan

# The program of every pod: file → its text.
PROGRAM = {
    name: Path(__file__).with_name(name).read_text("utf-8")
    for name in ("pod.py", "pod_network.py", "pod_processes.py")
}
MAX_BYTES = 1024 * 1024
LABEL = "leaderworkerset.sigs.k8s.io"
LOOPBACKS = frozenset({"127.0.0.1", "::1"})


def planned(case: Case, options: Options) -> Plan:
    """Plan a case for pods: its hosts are the pods of the first group, by their DNS names.

    The plan has servers, services and the router, but no benchmarks.

    Raises:
        UserError: the case cannot run in pods, or an option is invalid.
    """
    name = name_of(case, options)
    validate(options, name)
    pods = [f"{name}-0" + (f"-{index}" if index else "") for index in range(case.num_hosts)]
    addresses = [f"{pod}.{name}.{options.namespace}" for pod in pods]
    site = PlanInputs(
        targets=(),
        hosts=tuple(
            Host(pod, address, options.interface, f"{options.mount}/lamplighter")
            for pod, address in zip(pods, addresses, strict=True)
        ),
        serving={},
        tools={},
        model={},
        datasets={},
    )
    scripts = [*case.env_script, *(item for node in case.nodes for item in node.env_script)]
    if scripts:
        raise UserError(
            f"{case.path}: env_script: {scripts[0]}: a pod sources no script; use an image that "
            "has this environment, and remove the key"
        )
    return build(case.model_copy(update={"benchmarks": (), "comparisons": ()}), site)


def render(plan: Plan, options: Options) -> str:
    """Render a plan's manifest. The same plan and options give the same text.

    Args:
        plan: from `planned`, with the same options.
        options: the operator's options.

    Raises:
        UserError: an option is invalid, or the manifest would contain a secret.
    """
    name = name_of(plan.case, options)
    validate(options, name)
    if not plan.servers:
        raise UserError(f"{plan.case.path}: the case starts no server: nothing to render")
    data = payload(plan, options.grace_s)
    items = [item for host in data["hosts"] for item in host]
    env, secrets = shared(items), secret_names(items)
    _refuse_plain(secrets, plan, options, name)
    files = _files(plan, data, frozenset((*env, *secrets)))
    digest = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:16]
    content = Content(env, secrets, f"{name}-plan", digest)
    documents = (
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": _metadata(content.config_map, name, options),
            "data": files,
        },
        _service(name, options, plan),
        _worker_set(name, options, plan, content),
    )
    return _header(plan, options, name) + dump(documents)


def _files(plan: Plan, data: dict[str, Any], provided: frozenset[str]) -> dict[str, str]:
    slim = {**data, "hosts": [without(host, provided) for host in data["hosts"]]}
    files = {"plan.json": json.dumps(slim, indent=1) + "\n", **PROGRAM}
    if sum(map(len, files.values())) > MAX_BYTES:
        raise UserError(f"{plan.case.path}: the plan is larger than the 1 MiB of a ConfigMap")
    return files


def _service(name: str, options: Options, plan: Plan) -> Document:
    """Return the endpoint's Service; LWS itself makes the headless Service of the pods' names."""
    index = [host.name for host in plan.hosts].index(plan.leader)
    port = plan.endpoint.port
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(f"{name}-endpoint", name, options),
        "spec": {
            "type": "ClusterIP",
            "selector": {f"{LABEL}/name": name, f"{LABEL}/worker-index": str(index)},
            "ports": [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}],
        },
    }


def _worker_set(name: str, options: Options, plan: Plan, content: Content) -> Document:
    leader, worker = templates(plan, options, content)
    return {
        "apiVersion": "leaderworkerset.x-k8s.io/v1",
        "kind": "LeaderWorkerSet",
        "metadata": _metadata(name, name, options),
        "spec": {
            "replicas": options.replicas,
            "startupPolicy": "LeaderCreated",
            "networkConfig": {"subdomainPolicy": "Shared"},
            "leaderWorkerTemplate": {
                "size": len(plan.hosts),
                # Recreating a group would delete the failed pod's log and termination message.
                "restartPolicy": "None",
                "leaderTemplate": leader,
                "workerTemplate": worker,
            },
        },
    }


def _metadata(own: str, name: str, options: Options) -> Document:
    return {
        "name": own,
        "namespace": options.namespace,
        "labels": {
            "app.kubernetes.io/name": name,
            "app.kubernetes.io/managed-by": "lamplighter",
        },
    }


def _refuse_plain(secrets: Sequence[str], plan: Plan, options: Options, name: str) -> None:
    if secrets and not options.secret:
        literals = " ".join(f"--from-literal={variable}=…" for variable in secrets)
        raise UserError(
            f"{plan.case.path}: {', '.join(secrets)}: looks secret, so it is not written to a "
            f"manifest; create a Secret with it and give --secret {name}: kubectl -n "
            f"{options.namespace} create secret generic {name} {literals}",
        )


def _header(plan: Plan, options: Options, name: str) -> str:
    host, port = f"{name}-endpoint.{options.namespace}", plan.endpoint.port
    wait = f"wait --for=condition=Available lws/{name} --timeout={plan.case.ready_timeout_s:.0f}s"
    lines = [
        f"Case {plan.case.name}, made by `inv k8s.render`. Do not edit: change the case, and",
        "render again. It needs LeaderWorkerSet in the cluster: https://lws.sigs.k8s.io",
        f"Ready: kubectl -n {options.namespace} {wait}",
        f"Endpoint, from inside the cluster: {url_of(host, port)}",
    ]
    lines += [f"NOTE: {note}" for note in _notes(plan)]
    return "".join(f"# {line}\n" for line in lines)


def _notes(plan: Plan) -> Iterator[str]:
    """List requirements that the operator must provide, because pods do not check them."""
    if plan.endpoint.host in LOOPBACKS:
        yield (
            f"the server listens on {plan.endpoint.host}, which only its own pod can reach; "
            "set --host 0.0.0.0 in the case."
        )
    required = [f"{name} {version}" for name, version in plan.case.special_dependencies.items()]
    if plan.case.router and plan.case.router.kind == "vllm-router":
        required.append("vllm-router")
    if required:
        yield f"the image must have {', '.join(required)}."
    if plan.case.router and plan.case.router.script:
        yield f"{plan.case.router.script} must be in the image's working folder, or in --workdir."
