"""Plan → what `pod.py` reads in every pod, and the environment that all processes share. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.case.variables import HOST_VARIABLES, RUN_FOLDER
from ci.documents.address import url_of
from ci.errors import UserError
from ci.record.redact import looks_secret, redact_argv, secrets_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.plan.model import Plan, PlannedProcess

Item = dict[str, Any]


def payload(plan: Plan, grace_s: float) -> dict[str, Any]:
    """Say what each host starts, in the order of the hosts; addresses stand as `${NODE_<i>_IP}`.

    Args:
        plan: from `ci.k8s.render.planned`.
        grace_s: how long the processes have to end.

    Raises:
        UserError: a secret stands in a command line.
    """
    hosts: list[list[Item]] = [[] for _ in plan.hosts]
    index = {host.name: at for at, host in enumerate(plan.hosts)}
    fill = _Placeholders(plan)
    for process in plan.processes:
        item = _item(process, plan)
        _refuse_secrets(item, plan.case.path)
        hosts[index[process.host]].append(fill(item))
    return {
        "case": plan.case.name,
        "deadline_s": plan.case.ready_timeout_s,
        "grace_s": grace_s,
        "host_variables": list(HOST_VARIABLES),
        "hosts": hosts,
    }


def shared(items: Sequence[Item]) -> dict[str, str]:
    """The environment that is the same for all, and that no pod has to fill in."""
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
    """The variables that look secret; their values are never rendered."""
    names = {name for item in items for name in item["env"] if looks_secret(name)}
    return tuple(sorted(names))


def without(items: Sequence[Item], names: frozenset[str]) -> list[Item]:
    """The items, less the variables that the container itself has."""
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
    """What has to accept connections, or to answer, before a process is started."""
    if process in plan.services:
        return []
    if process is plan.router:
        return [one.health_url for one in plan.servers if one.health_url]
    return [
        url_of(plan.host(one.host).address, port).replace("http", "tcp", 1)
        for one in plan.services
        for port in one.ports
    ]


def _refuse_secrets(item: Item, path: str) -> None:
    texts = [*item["argv"], *item["files"].values()]
    within = [one for one in secrets_of(item["env"]) if any(one in text for text in texts)]
    if within or redact_argv(item["argv"]) != item["argv"]:
        raise UserError(
            f"{path}: {item['name']}: its command line holds a secret, which a ConfigMap would "
            "show to everybody; pass it in a variable, e.g. VLLM_API_KEY for --api-key, and give "
            "--secret",
        )


class _Placeholders:
    """Writes what only a pod knows as variables: hosts' addresses, and the run's folder."""

    def __init__(self, plan: Plan) -> None:
        self._number = {host.address: at for at, host in enumerate(plan.hosts)}
        names = "|".join(re.escape(address) for address in self._number)
        self._address = re.compile(rf"(?<![\w.-])({names})(?![\w-]|\.\w)")
        folder = RUN_FOLDER.format(workspace=plan.workspace, process="")
        self._texts = {folder.rstrip("/"): "${RUN_FOLDER}", "<run>": plan.case.name}

    def __call__(self, value: Any) -> Any:  # noqa: ANN401 - plain JSON
        if isinstance(value, str):
            for text, placeholder in self._texts.items():
                value = value.replace(text, placeholder)
            return self._address.sub(lambda at: f"${{NODE_{self._number[at[1]]}_IP}}", value)
        if isinstance(value, list):
            return [self(one) for one in value]
        if isinstance(value, dict):
            return {key: self(one) for key, one in value.items()}
        return value
