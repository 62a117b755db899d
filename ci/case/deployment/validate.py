"""Validate a `deployment` file's keys against one another. Pure.

Works on the plain document, whose parts may have wrong types, so that these errors are reported
together with unknown keys and wrong types.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeGuard

from ci.case.counts import count_errors
from ci.documents.nearest import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.position import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem


_ROLE_KEYS = ("prefiller_host_index", "decoder_host_index")


def errors(source: Source) -> list[Problem]:
    """Report every contradiction between parts of the right types."""
    document = _mapping(source.value)
    return [
        *_counts(document, source),
        *_servers(document, source),
        *_roles(document, source),
    ]


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _is_index(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _index(value: object) -> object:
    """Convert a number in quotes."""
    return int(value) if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value) else value


def _counts(document: dict[str, Any], source: Source) -> Iterator[Problem]:
    count = _index(document.get("num_nodes"))
    if not _is_index(count) or count < 1:
        return
    lists = {"deployment": "servers", "cluster_hosts": "hosts"}
    yield from count_errors(count, lists, source)


def _servers(document: dict[str, Any], source: Source) -> Iterator[Problem]:
    servers = _list(document.get("deployment"))
    for position, entry in enumerate(servers):
        server, path = _mapping(entry), ("deployment", position)
        if server.get("envs") is not None and server.get("env_extend") is not None:
            message = "'envs' is there too; move the variables of both into one of them"
            yield source.at_key((*path, "env_extend"), message)
        local = _index(server.get("local_index"))
        if _is_index(local) and local != position:
            message = (
                f"{local}, but this is entry {position}; list entries in the order of the hosts"
            )
            yield source.at_value((*path, "local_index"), message)
        yield from _in_range(server.get("master_index"), (*path, "master_index"), document, source)


def _roles(document: dict[str, Any], source: Source) -> Iterator[Problem]:
    section = "disaggregated_prefill"
    roles = _mapping(document.get(section))
    if not roles or roles.get("enabled") is False:
        return
    seen: set[int] = set()
    for key in _ROLE_KEYS:
        is_misspelt = key not in roles and nearest(key, roles.keys() - {*_ROLE_KEYS, "enabled"})
        if not roles.get(key, []) and not is_misspelt:
            message = "names no host; give the index of at least one, or set enabled: false"
            yield source.at_key((section, key), message)
        for position, index in enumerate(map(_index, _list(roles.get(key)))):
            path = (section, key, position)
            yield from _in_range(index, path, document, source)
            if _is_index(index) and index in seen:
                yield source.at_value(path, f"host {index} already has a role; name it once")
            seen.update([index] if _is_index(index) else [])


def _in_range(
    index: object, path: KeyPath, document: dict[str, Any], source: Source
) -> Iterator[Problem]:
    servers, index = len(_list(document.get("deployment"))), _index(index)
    if _is_index(index) and index >= servers > 0:
        yield source.at_value(path, f"there is no host {index}; indices are 0 to {servers - 1}")
