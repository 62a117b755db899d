"""Validate the parts of an `external_dp` file against one another. Pure.

Works on the parts that are valid on their own, so that these errors are reported together with
unknown keys and wrong types.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from ci.case import kv_pool
from ci.case.counts import count_errors
from ci.case.external_dp import ranks, routing, template
from ci.case.external_dp.ranks import HostRanks
from ci.case.external_dp.routing import ROUTER_HOST, ROUTER_PORT, Routing
from ci.case.external_dp.template import RenderedTemplate, Template
from ci.case.kv_pool import KvPool
from ci.case.references import unknown
from ci.case.variables import names, references
from ci.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

Part = TypeVar("Part", bound=Strict)
# The plan sets these in every server's environment.
_NETWORK = ("HCCL_IF_IP", "HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")


@dataclass(frozen=True)
class ValidParts:
    """The parts of a document that are valid on their own; entries of lists by index.

    Attributes:
        count: number of entries of `config`, valid or not.
    """

    config: dict[int, HostRanks]
    templates: dict[int, Template]
    routing: Routing | None
    pool: KvPool | None
    count: int


def errors(document: dict[str, object], source: Source) -> Iterator[Problem]:
    """Report every contradiction between valid parts."""
    entries = document.get("config")
    valid = ValidParts(
        config=_valid(HostRanks, entries),
        templates=_valid(Template, document.get("templates")),
        routing=_valid(Routing, [document.get("routing")]).get(0),
        pool=_valid(KvPool, [document.get("kv_pool")]).get(0),
        count=len(entries) if isinstance(entries, list) else 0,
    )
    yield from _counts(document, source)
    yield from _positions(valid, source)
    misrouted = [*routing.errors(valid.routing, valid.count, source)] if valid.routing else []
    yield from misrouted
    sizes = [*ranks.size_errors(valid.config, _number(document.get("npu_per_node")), source)]
    yield from sizes
    # Of these, the groups' errors are consequences.
    wrong = {index for index in valid.config for item in sizes if _is_in(item, index)}
    sound = replace(valid, routing=None) if misrouted else valid
    yield from _group_errors(sound, document.get("cluster_hosts"), source, wrong)
    yield from _template_errors(valid, source)
    if valid.pool:
        yield from kv_pool.errors(valid.pool, source)
        for path, text in _texts(valid.pool.config, ("kv_pool", "config")):
            yield from unknown(text, path, (), valid.count, source)


def _is_in(problem: Problem, index: int) -> bool:
    return problem.key.startswith(f"config[{index}].")


def _valid(kind: type[Part], values: object) -> dict[int, Part]:
    parts: dict[int, Part] = {}
    for position, value in enumerate(values if isinstance(values, list) else []):
        try:
            parts[position] = kind.model_validate(value)
        except ValidationError:
            continue  # validating the whole document reports it
    return parts


def _number(value: object) -> int | None:
    """Return a number that may be in quotes; None if it is not valid."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len("1024") else None


def _counts(document: dict[str, object], source: Source) -> Iterator[Problem]:
    count = _number(document.get("num_nodes"))
    lists = dict.fromkeys(("config", "templates", "cluster_hosts"), "hosts")
    yield from count_errors(count, lists, source) if count else ()


def _positions(valid: ValidParts, source: Source) -> Iterator[Problem]:
    written = {("config", index): entry.node_index for index, entry in valid.config.items()}
    written |= {("templates", index): entry.node_index for index, entry in valid.templates.items()}
    for (key, index), node_index in written.items():
        if node_index not in {None, index}:
            message = (
                f"{node_index}, but this is entry {index}; list entries in the order of the hosts"
            )
            yield source.at_value((key, index, "node_index"), message)


def _group_errors(
    valid: ValidParts, hosts: object, source: Source, wrong: set[int]
) -> Iterator[Problem]:
    addresses = [str(host) for host in hosts] if isinstance(hosts, list) else []
    by_head = ranks.groups(valid.config, addresses)
    for head, group in by_head.items():
        different = [] if wrong & group.keys() else [*ranks.group_errors(group, source)]
        yield from different
        if any(_is_unknown(member.dp_address, valid.count) for member in valid.config.values()):
            continue  # the variable's own error is reported
        sound = not different and not wrong & group.keys()
        if sound and len(valid.config) == valid.count:
            yield from ranks.coverage_errors(head, group, source)
        if valid.routing:
            yield from _role_errors(group, valid.routing, source)
    taken = {(ROUTER_HOST, ROUTER_PORT): "the router"}
    for key, port in valid.pool.ports.items() if valid.pool else ():
        if port == ROUTER_PORT:
            yield source.at_value(
                ("kv_pool", key), f"{port} is the router's port on host 0; choose another"
            )
        taken.setdefault((ROUTER_HOST, port), f"kv_pool.{key}")
    yield from ranks.port_errors(valid.config, by_head, taken, source)


def _is_unknown(address: str, hosts: int) -> bool:
    return any(name not in names(hosts) for name in references(address))


def _role_errors(group: dict[int, HostRanks], routes: Routing, source: Source) -> Iterator[Problem]:
    """Report data-parallel groups whose ranks have different roles."""
    roles = routing.roles(routes)
    first = next(iter(group))
    for index in group:
        if roles.get(index) != roles.get(first) and {index, first} <= roles.keys():
            message = (
                f"is also that of config[{first}], with role {roles[first]}, but the role here is "
                f"{roles[index]}; give each group its own address"
            )
            yield source.at_value(("config", index, "dp_address"), message)


def _template_errors(valid: ValidParts, source: Source) -> Iterator[Problem]:
    own = ranks.rank_variables(HostRanks(port_start=1, dp_rpc_port=1, dp_address="-"), 0, 0)
    for index, member in valid.config.items():
        path: KeyPath = ("config", index, "dp_address")
        yield from unknown(member.dp_address, path, (), valid.count, source)
    for index, entry in valid.templates.items():
        written = {"envs": entry.envs, "server_cmd_template": entry.server_cmd_template}
        known = {*own, *_NETWORK, *entry.envs}
        texts = _texts(written, ("templates", index))
        unclear = [
            problem
            for path, text in texts
            for problem in unknown(text, path, known, valid.count, source)
        ]
        yield from unclear
        if index in valid.config and not unclear:
            rendered = RenderedTemplate(index, entry, valid.config[index], "mixed")
            yield from template.errors(rendered, source)


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))
