"""`kv_pool`: a store of key-value caches that all servers share, and the process behind it. Pure.

Its process runs on host 0; every server has a file that says where to find it. The files' form and
names are those that Mooncake's and MemCache's own clients read.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ci.case.model import Service
from ci.documents.strict import Strict
from ci.documents.values import Port
from ci.documents.wording import found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.place import KeyPath
    from ci.documents.source import Source
    from ci.errors import Problem

_HOST = 0
_ADDRESS = "${NODE_0_IP}"
_LIBRARIES = "/usr/local/Ascend/ascend-toolkit/latest/python/site-packages"
_MOONCAKE_OPTIONS = (
    *("--eviction_high_watermark_ratio", "0.9"),
    *("--eviction_ratio", "0.1"),
    *("--default_kv_lease_ttl", "11000"),
)
_PORTS = {
    "mooncake": ("master_port", "metrics_port"),
    "memcache": ("meta_service_port", "config_store_port"),
}


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


class KvPool(Strict):
    """`kv_pool`: which store, its ports on host 0, and its own configuration."""

    type: Annotated[Literal["mooncake", "memcache"], BeforeValidator(_lower)] = Field(
        description="it is mooncake or memcache",
    )
    master_port: Port | None = None
    metrics_port: Port | None = None
    meta_service_port: Port | None = None
    config_store_port: Port | None = None
    config: dict[str, Any] = Field(
        description="it is the content of the store's configuration file"
    )

    @property
    def ports(self) -> dict[str, int]:
        """Key → port, of those that its type uses and that are there."""
        return {key: port for key in _PORTS[self.type] if (port := getattr(self, key)) is not None}


def defects(pool: KvPool, source: Source) -> Iterator[Problem]:
    """Report what is wrong with a pool whose keys are each of the right type."""
    used = _PORTS[pool.type]
    for key in used:
        if getattr(pool, key) is None:
            yield source.at_key(("kv_pool", key), f"missing; {pool.type} listens there on host 0")
    for other in {key for keys in _PORTS.values() for key in keys} - set(used):
        if getattr(pool, other) is not None:
            message = f"{pool.type} has no such port, it has {' and '.join(used)}; remove it"
            yield source.at_key(("kv_pool", other), message)
    first, second = (getattr(pool, key) for key in used)
    if first is not None and first == second:
        message = f"{second} is {used[0]} too; give each a port of its own"
        yield source.at_value(("kv_pool", used[1]), message)
    path: KeyPath = ("kv_pool", "config")
    if pool.type == "mooncake":
        yield from _not_json(pool.config, path, source)
        return
    for key in ("meta", "local"):
        if not isinstance(pool.config.get(key), dict):
            message = "has to be there as a mapping; it is the file of one side of memcache"
            yield source.at_key((*path, key), message)
        else:
            yield from _not_plain(pool.config[key], (*path, key), source)
    for key in pool.config.keys() - {"meta", "local"}:
        message = "unknown key; memcache's configuration stands under 'meta' and 'local'"
        yield source.at_key((*path, key), message)


def service(pool: KvPool) -> Service:
    """The pool's process, and what servers get for it.

    Args:
        pool: without `defects`.
    """
    return _mooncake(pool) if pool.type == "mooncake" else _memcache(pool)


def _mooncake(pool: KvPool) -> Service:
    master = f"{_ADDRESS}:{pool.master_port}"
    store = pool.config | {"master_server_address": master}
    return Service(
        name="mooncake-master",
        host=_HOST,
        argv=(
            "mooncake_master",
            *("--port", str(pool.master_port)),
            *("--metrics_port", str(pool.metrics_port)),
            *_MOONCAKE_OPTIONS,
        ),
        env={"LD_LIBRARY_PATH": f"{_LIBRARIES}/mooncake:{_LIBRARIES}:$LD_LIBRARY_PATH"},
        # Not the metrics port: a store without metrics serves as well.
        ports=tuple(port for port in (pool.master_port,) if port),
        server_env={"MOONCAKE_CONFIG_PATH": "$FOLDER/mooncake.json", "MOONCAKE_MASTER": master},
        server_files={"mooncake.json": json.dumps(store, indent=2, ensure_ascii=False)},
    )


def _memcache(pool: KvPool) -> Service:
    meta = f"tcp://{_ADDRESS}:{pool.meta_service_port}"
    store = f"tcp://{_ADDRESS}:{pool.config_store_port}"
    url = "ock.mmc.meta_service_url"
    meta_file = {url: meta, "ock.mmc.meta_service.config_store_url": store}
    local_file = {url: meta, "ock.mmc.local_service.config_store_url": store}
    return Service(
        name="memcache-meta-service",
        host=_HOST,
        argv=("python3", "-c", "from memcache_hybrid import MetaService; MetaService.main()"),
        env={"MMC_META_CONFIG_PATH": "$FOLDER/mmc-meta.conf"},
        ports=tuple(pool.ports.values()),
        files={"mmc-meta.conf": _conf(pool.config["meta"] | meta_file)},
        server_env={"MMC_LOCAL_CONFIG_PATH": "$FOLDER/mmc-local.conf"},
        server_files={"mmc-local.conf": _conf(pool.config["local"] | local_file)},
    )


def _conf(values: dict[str, object]) -> str:
    return "".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}\n"
        for key, value in values.items()
    )


def _not_json(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report values that no JSON file can hold."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_json(item, (*path, key), source)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _not_json(item, (*path, position), source)
    elif not (value is None or _is_plain(value)):
        message = f"expected text or a number, found {found(value)}; put it in quotes"
        yield source.at_value(path, message)


def _not_plain(values: dict[str, object], path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report values that no `key = value` line can hold."""
    for key, value in values.items():
        if not _is_plain(value):
            message = f"expected text or a number, found {found(value)}"
            yield source.at_value((*path, key), message)
        elif "\n" in str(value) or "\n" in key:
            yield source.at_value((*path, key), "has to be one line")


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, bool, int))
