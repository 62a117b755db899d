"""Convert a plan to the plan.json that `pod.py` reads, and find the shared environment. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.case.variables import HOST_VARIABLES, RUN_FOLDER
from ci.documents.address import url_of
from ci.errors import UserError
from ci.record.known_secrets import secrets_of
from ci.record.secret_names import looks_secret
from ci.record.secrets import hide_in_argv

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.plan.model import Plan, PlannedProcess

Item = dict[str, Any]


def payload(plan: Plan, grace_s: float) -> dict[str, Any]:
    """List the processes that each host starts; addresses become `${NODE_<i>_IP}`.

    Args:
        plan: from `ci.k8s.render.planned`.
        grace_s: seconds that processes get to end.

    Raises:
        UserError: a command line contains a secret.
    """
    hosts: list[list[Item]] = [[] for _ in plan.hosts]
    indices = {host.name: index for index, host in enumerate(plan.hosts)}
    fill = _Placeholders(plan)
    for process in plan.processes:
        item = _item(process, plan)
        _refuse_secrets(item, plan.case.path)
        hosts[indices[process.host]].append(fill(item))
    return {
        "case": plan.case.name,
        "deadline_s": plan.case.ready_timeout_s,
        "grace_s": grace_s,
        "host_variables": list(HOST_VARIABLES),
        "hosts": hosts,
    }


def shared(items: Sequence[Item]) -> dict[str, str]:
    """Return the variables that are equal for all processes and need no substitution in pods."""
    if not items:
        return {}
    first, *others = (item["env"] for item in items)
    return {
        name: value
        for name, value in first.items()
        if "$" not in value
        and not looks_secret(name)
        and all(other.get(name) == value for other in others)
    }


def secret_names(items: Sequence[Item]) -> tuple[str, ...]:
    """Return the variables that look secret; their values are never rendered."""
    names = {name for item in items for name in item["env"] if looks_secret(name)}
    return tuple(sorted(names))


def without(items: Sequence[Item], names: frozenset[str]) -> list[Item]:
    """Return the items without the variables that the container already has."""
    return [
        {**item, "env": {name: value for name, value in item["env"].items() if name not in names}}
        for item in items
    ]


def _item(process: PlannedProcess, plan: Plan) -> Item:
    return {
        "name": process.name,
        "argv": list(process.argv),
        "env": dict(sorted(process.env.items())),
        "files": dict(process.files),
        "after": _needs(process, plan),
        "health": process.health_url,
    }


def _needs(process: PlannedProcess, plan: Plan) -> list[str]:
    """Return the URLs that must accept connections or answer before a process starts."""
    if process in plan.services:
        return []
    if process is plan.router:
        return [server.health_url for server in plan.servers if server.health_url]
    return [
        url_of(plan.host(service.host).address, port).replace("http", "tcp", 1)
        for service in plan.services
        for port in service.ports
    ]


def _refuse_secrets(item: Item, path: str) -> None:
    texts = [*item["argv"], *item["files"].values()]
    shown = [secret for secret in secrets_of(item["env"]) if any(secret in text for text in texts)]
    if shown or hide_in_argv(item["argv"]) != item["argv"]:
        raise UserError(
            f"{path}: {item['name']}: its command line contains a secret, which everyone who may "
            "read the ConfigMap would see; pass it in a variable, e.g. VLLM_API_KEY for --api-key, "
            "and give --secret",
        )


class _Placeholders:
    """A function that replaces values known only in a pod by variables: addresses, run folder."""

    def __init__(self, plan: Plan) -> None:
        self._index = {host.address: index for index, host in enumerate(plan.hosts)}
        names = "|".join(re.escape(address) for address in self._index)
        self._address = re.compile(rf"(?<![\w.-])({names})(?![\w-]|\.\w)")
        folder = RUN_FOLDER.format(workspace=plan.workspace, process="")
        self._texts = {folder.rstrip("/"): "${RUN_FOLDER}", "<run>": plan.case.name}

    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - plain JSON
        if isinstance(value, str):
            for text, placeholder in self._texts.items():
                value = value.replace(text, placeholder)
            return self._address.sub(lambda match: f"${{NODE_{self._index[match[1]]}_IP}}", value)
        if isinstance(value, list):
            return [self(item) for item in value]
        if isinstance(value, dict):
            return {key: self(item) for key, item in value.items()}
        return value
