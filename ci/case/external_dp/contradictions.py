"""What the parts of an `external_dp` file have to agree on among themselves. Pure.

Works on those parts that are sound, so that contradictions are reported with misspellings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from ci.case import kv_pool
from ci.case.external_dp import ranks, routing, template
from ci.case.external_dp.ranks import Member
from ci.case.external_dp.routing import ROUTER_HOST, ROUTER_PORT, Routing
from ci.case.external_dp.template import Filled, Template
from ci.case.kv_pool import KvPool
from ci.case.references import unknown
from ci.documents.strict import Strict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

Part = TypeVar("Part", bound=Strict)
# What the plan puts into every server's environment.
_NETWORK = ("HCCL_IF_IP", "HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME")


@dataclass(frozen=True)
class Sound:
    """The parts of a document that are each sound on their own, those of lists by position.

    Attributes:
        count: how many entries `config` has, sound or not.
    """

    config: dict[int, Member]
    templates: dict[int, Template]
    routing: Routing | None
    pool: KvPool | None
    count: int


def contradictions(document: dict[str, object], source: Source) -> Iterator[Problem]:
    """Report what the parts contradict."""
    entries = document.get("config")
    sound = Sound(
        config=_sound(Member, entries),
        templates=_sound(Template, document.get("templates")),
        routing=_sound(Routing, [document.get("routing")]).get(0),
        pool=_sound(KvPool, [document.get("kv_pool")]).get(0),
        count=len(entries) if isinstance(entries, list) else 0,
    )
    yield from _counts(document, source)
    yield from _positions(sound, source)
    yield from ranks.sizes(sound.config, _number(document.get("npu_per_node")), source)
    yield from _of_groups(sound, document.get("cluster_hosts"), source)
    yield from _of_templates(sound, source)
    if sound.routing:
        yield from routing.defects(sound.routing, sound.count, source)
    if sound.pool:
        yield from kv_pool.defects(sound.pool, source)
        for path, text in _texts(sound.pool.config, ("kv_pool", "config")):
            yield from unknown(text, path, (), sound.count, source)


def _sound(kind: type[Part], values: object) -> dict[int, Part]:
    parts: dict[int, Part] = {}
    for position, value in enumerate(values if isinstance(values, list) else []):
        try:
            parts[position] = kind.model_validate(value)
        except ValidationError:
            continue  # the validation of the whole document reports it
    return parts


def _number(value: object) -> int | None:
    """A number that is sound, as such or in quotes."""
    text = str(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= len("1024") else None


def _counts(document: dict[str, object], source: Source) -> Iterator[Problem]:
    count = _number(document.get("num_nodes"))
    for key in ("config", "templates", "cluster_hosts"):
        entries = document.get(key)
        empty_is_none = key == "cluster_hosts" and not entries
        if count and isinstance(entries, list) and len(entries) != count and not empty_is_none:
            message = f"lists {len(entries)} hosts, but num_nodes is {count}; they have to agree"
            yield source.at_key((key,), message)


def _positions(sound: Sound, source: Source) -> Iterator[Problem]:
    indices = {("config", at): one.node_index for at, one in sound.config.items()}
    indices |= {("templates", at): one.node_index for at, one in sound.templates.items()}
    for (key, at), index in indices.items():
        if index not in {None, at}:
            message = f"{index}, but this is entry {at}; entries stand in the hosts' order"
            yield source.at_value((key, at, "node_index"), message)


def _of_groups(sound: Sound, hosts: object, source: Source) -> Iterator[Problem]:
    names = [str(host) for host in hosts] if isinstance(hosts, list) else []
    by_head = ranks.groups(sound.config, names)
    for head, group in by_head.items():
        yield from ranks.agreement(group, source)
        in_range = all(one.ranks.stop <= one.dp_size for one in group.values())
        if in_range and len(sound.config) == sound.count:
            yield from ranks.coverage(head, group, source)
        if sound.routing:
            yield from _one_role(group, sound.routing, source)
    taken = {(ROUTER_HOST, ROUTER_PORT): "the router"}
    for key, port in sound.pool.ports.items() if sound.pool else ():
        if port == ROUTER_PORT:
            yield source.at_value(("kv_pool", key), f"{port} is that of the router on host 0")
        taken.setdefault((ROUTER_HOST, port), f"kv_pool.{key}")
    yield from ranks.clashes(sound.config, by_head, taken, source)


def _one_role(group: dict[int, Member], routes: Routing, source: Source) -> Iterator[Problem]:
    """Report ranks of one data-parallel group that would prefill here and decode there."""
    roles = routing.roles(routes)
    first = next(iter(group))
    for index in group:
        if roles.get(index) != roles.get(first) and {index, first} <= roles.keys():
            message = (
                f"is that of config[{first}], which does {roles[first]} while this one does "
                f"{roles[index]}; each group needs an address of its own"
            )
            yield source.at_value(("config", index, "dp_address"), message)


def _of_templates(sound: Sound, source: Source) -> Iterator[Problem]:
    own = ranks.known(Member(port_start=1, dp_rpc_port=1, dp_address="-"), 0, 0)
    for index, member in sound.config.items():
        path: KeyPath = ("config", index, "dp_address")
        yield from unknown(member.dp_address, path, (), sound.count, source)
    for index, one in sound.templates.items():
        written = {"envs": one.envs, "server_cmd_template": one.server_cmd_template}
        for path, text in _texts(written, ("templates", index)):
            yield from unknown(text, path, {*own, *_NETWORK, *one.envs}, sound.count, source)
        if index in sound.config:
            filled = Filled(index, one, sound.config[index], "mixed")
            yield from template.defects(filled, source)


def _texts(value: object, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _texts(item, (*path, position))
