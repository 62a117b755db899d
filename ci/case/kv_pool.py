"""Define `kv_pool`: a store of key-value caches that all servers share. Pure.

Its process runs on host 0, and every server gets a file with its address. Format and names of the
files are those of Mooncake's and MemCache's own clients.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ci.case.model import Service
from ci.documents.messages import describe
from ci.documents.strict import Strict
from ci.documents.values import Port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.documents.position import KeyPath
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
        """Return key → port, of the keys that its type uses."""
        return {key: port for key in _PORTS[self.type] if (port := getattr(self, key)) is not None}


def errors(pool: KvPool, source: Source) -> Iterator[Problem]:
    """Report missing, unknown and equal keys of a pool whose keys have the right types."""
    used = _PORTS[pool.type]
    for key in used:
        if getattr(pool, key) is None:
            yield source.at_key(("kv_pool", key), f"missing; {pool.type} needs this port on host 0")
    for other in {key for keys in _PORTS.values() for key in keys} - set(used):
        if getattr(pool, other) is not None:
            message = f"{pool.type} has no such port, only {' and '.join(used)}; remove it"
            yield source.at_key(("kv_pool", other), message)
    first, second = (getattr(pool, key) for key in used)
    if first is not None and first == second:
        message = f"{second} is also {used[0]}; give each its own port"
        yield source.at_value(("kv_pool", used[1]), message)
    path: KeyPath = ("kv_pool", "config")
    if pool.type == "mooncake":
        yield from _json_errors(pool.config, path, source)
        return
    for key in ("meta", "local"):
        if not isinstance(pool.config.get(key), dict):
            message = f"expected a mapping; it is memcache's {key} configuration file"
            yield source.at_key((*path, key), message)
        else:
            yield from _line_errors(pool.config[key], (*path, key), source)
    for key in pool.config.keys() - {"meta", "local"}:
        message = "unknown key; put memcache's configuration under 'meta' and 'local'"
        yield source.at_key((*path, key), message)


def service(pool: KvPool) -> Service:
    """Return the pool's process, with the files and variables of every server.

    Args:
        pool: without `errors`.
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
        # Without the metrics port: the store is ready even if its metrics are not.
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


def _json_errors(value: object, path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report values that JSON cannot represent."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _json_errors(item, (*path, key), source)
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _json_errors(item, (*path, position), source)
    elif not (value is None or _is_plain(value)):
        message = f"expected text or a number, found {describe(value)}; put it in quotes"
        yield source.at_value(path, message)


def _line_errors(values: dict[str, object], path: KeyPath, source: Source) -> Iterator[Problem]:
    """Report values that do not fit into a `key = value` line."""
    for key, value in values.items():
        if not _is_plain(value):
            message = f"expected text or a number, found {describe(value)}"
            yield source.at_value((*path, key), message)
        elif "\n" in str(value) or "\n" in key:
            yield source.at_value((*path, key), "expected one line; remove the line breaks")


def _is_plain(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, (str, bool, int))
