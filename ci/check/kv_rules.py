"""Rules for --kv-transfer-config: roles and sizes against the servers themselves. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from ci.case.without_router import behind_router
from ci.check.diagnostic import Remark
from ci.documents.nearest import nearest
from ci.vllm.command_line import json_option, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.check.diagnostic import Server, Severity, Subject

_FLAG = "--kv-transfer-config"
_ROLES = {"prefill": "kv_producer", "decode": "kv_consumer"}
_KNOWN = (*_ROLES.values(), "kv_both")
# Of KVTransferConfig in vLLM 0.11 to 0.32, which refuses other keys.
_KEYS = (
    "kv_connector",
    "kv_role",
    "kv_port",
    "kv_ip",
    "kv_rank",
    "kv_parallel_size",
    "kv_buffer_device",
    "kv_buffer_size",
    "kv_connector_extra_config",
    "kv_connector_module_path",
    "kv_load_failure_policy",
    "engine_id",
    "enable_permute_local_kv",
)
# Of vLLM and vllm-ascend.
_CONNECTORS = (
    "AscendMultiConnector",
    "AscendStoreConnector",
    "DecodeBenchConnector",
    "ExampleConnector",
    "ExampleHiddenStatesConnector",
    "FlexKVConnectorV1",
    "HF3FSKVConnector",
    "HiSparseConnector",
    "LMCacheConnectorV1",
    "LMCacheMPConnector",
    "MooncakeConnector",
    "MooncakeConnectorStoreV1",
    "MooncakeConnectorV1",
    "MooncakeStoreConnector",
    "MoRIIOConnector",
    "MooncakeHybridConnector",
    "MooncakeLayerwiseConnector",
    "MultiConnector",
    "NixlConnector",
    "NixlPullConnector",
    "NixlPushConnector",
    "OffloadingConnector",
    "P2pNcclConnector",
    "SharedStorageConnector",
    "SimpleCPUOffloadConnector",
    "UCMConnector",
)
# They find the KV cache of a prompt by its tokens alone, in a folder that servers share.
_BY_TOKENS = ("ExampleConnector", "SharedStorageConnector")
_SEVERAL = 2
_SIZES = {
    "tp_size": "--tensor-parallel-size",
    "pp_size": "--pipeline-parallel-size",
    "dp_size": "--data-parallel-size",
}


def kv_by_tokens(subject: Subject) -> Iterator[Remark]:
    """Report `without_router` where the server still gets the KV cache of prefill servers."""
    server = behind_router(subject.case.nodes)
    if server is None:
        return
    config = str(json_option(server.argv, _FLAG))
    for name in (name for name in _BY_TOKENS if repr(name) in config):
        for bench in subject.case.benchmarks:
            if bench.without_router:
                message = (
                    f"finds no damaged KV cache with {name}: {server.name} takes the KV cache of "
                    "the same prompts from its folder also without the router; remove it, or use "
                    "a connector that transfers the KV cache of each request"
                )
                yield Remark(f"{subject.section}benchmarks.{bench.name}.without_router", message)


def kv_role(subject: Subject) -> Iterator[Remark]:
    """Report a kv_role that does not exist, or that contradicts the server's role."""
    servers = list(_one_per_command(subject))[::-1]
    yield from _ec_roles(servers)
    both = {server.role for server in servers if _has_other_role(server)} == _ROLES.keys()
    if both and all(_has_other_role(server) for server in servers if _roles_of(server)):
        message = (
            "every kv_role is that of the other side: exchange kv_producer and kv_consumer, or the "
            "hosts of prefill and decode"
        )
        first = next(server for server in servers if _roles_of(server))
        yield Remark(first.command_key, message, str(_roles_of(first)[0]))
        return
    for server in servers:
        expected = _ROLES.get(server.role)
        for config in _configs(json_option(server.argv, _FLAG)):
            role = config.get("kv_role")
            if not isinstance(role, str):
                continue
            if role not in _KNOWN:
                near = nearest(role, _KNOWN)
                guess = f"did you mean {near}?" if near else f"choose one of {', '.join(_KNOWN)}"
                yield Remark(server.command_key, f"kv_role is {role!r}; {guess}", role)
            elif expected and role not in {expected, "kv_both"}:
                message = f"kv_role is {role}, but this is a {server.role} server"
                yield Remark(server.command_key, f"{message}; write {expected}", role)


def _roles_of(server: Server) -> list[object]:
    configs = _configs(json_option(server.argv, _FLAG))
    return [config["kv_role"] for config in configs if config.get("kv_role") in _ROLES.values()]


def _has_other_role(server: Server) -> bool:
    roles = _roles_of(server)
    return server.role in _ROLES and bool(roles) and _ROLES[server.role] not in roles


def _ec_roles(servers: Sequence[Server]) -> Iterator[Remark]:
    """Report encoders without servers that take their output, and the other way round."""
    configs = [json_option(server.argv, "--ec-transfer-config") for server in servers]
    named = [config.get("ec_role") for config in configs if config]
    if len(named) > 1 and len(set(named)) == 1 and named[0] in {"ec_producer", "ec_consumer"}:
        first = next(server for server, config in zip(servers, configs, strict=True) if config)
        message = (
            f"every ec_role is {named[0]}; write ec_producer for the encoder, and ec_consumer for "
            "the servers that take its output"
        )
        yield Remark(first.command_key, message, str(named[0]))


def kv_keys(subject: Subject) -> Iterator[Remark]:
    """Report keys that a KV transfer does not have, and connectors that are almost known ones."""
    for server in _one_per_command(subject):
        for config in _configs(json_option(server.argv, _FLAG)):
            for key in config:
                if key not in _KEYS:
                    near = nearest(key, _KEYS)
                    guess = f"did you mean {near!r}?" if near else f"known: {', '.join(_KEYS)}"
                    message = f"{_FLAG} has no key {key!r}; {guess}"
                    # A later vLLM may have a further key.
                    severity: Severity = "error" if near else "warning"
                    yield Remark(server.command_key, message, key, severity)
            name = config.get("kv_connector")
            near = nearest(name, _CONNECTORS) if isinstance(name, str) else None
            if near and name not in _CONNECTORS and "kv_connector_module_path" not in config:
                message = f"kv_connector is {name!r}; did you mean {near!r}? If a plugin adds it, "
                yield Remark(server.command_key, f"{message}ignore this", str(name), "warning")


def kv_sizes(subject: Subject) -> Iterator[Remark]:
    """Report sizes for prefill or decode that no such server has on its command line."""
    blamed = set[tuple[str, str]]()
    for role, key, remark in _against_all(subject):
        blamed.add((role, key))
        yield remark
    seen: set[str] = set()  # servers name the same sizes, and one of them is wrong
    for server in _one_per_command(subject):
        for config in _configs(json_option(server.argv, _FLAG)):
            extra = config.get("kv_connector_extra_config")
            for role in _ROLES:
                group = extra.get(role) if isinstance(extra, dict) else None
                sizes = group if isinstance(group, dict) else {}
                for key, flag in _SIZES.items():
                    if (role, key) in blamed:
                        continue
                    for remark in _compare(server, role, (key, flag), sizes.get(key), subject):
                        if remark.message not in seen:
                            yield remark
                        seen.add(remark.message)


def _against_all(subject: Subject) -> Iterator[tuple[str, str, Remark]]:
    """Report a command line that the KV configurations of several servers contradict alike."""
    configs = [
        config["kv_connector_extra_config"]
        for server in _one_per_command(subject)
        for config in _configs(json_option(server.argv, _FLAG))
        if isinstance(config.get("kv_connector_extra_config"), dict)
    ]
    for role, (key, flag) in itertools.product(_ROLES, _SIZES.items()):
        groups = [config.get(role) for config in configs]  # type: ignore[attr-defined]
        values = [group[key] for group in groups if isinstance(group, dict) and key in group]
        having = [s for s in _one_per_command(subject) if s.role == role and s.planned]
        if len(values) < _SEVERAL or len(set(map(str, values))) > 1 or len(having) != 1:
            continue
        [server] = having
        own, value = number(server.argv, flag) or 1, values[0]
        if isinstance(value, int) and own != value:
            message = (
                f"{flag} {own} of a {role} server, but every {_FLAG} has {key} {value} for {role}; "
                "make them equal"
            )
            yield role, key, Remark(server.command_key, message, flag, then=str(own))


def _compare(
    server: Server, role: str, size: tuple[str, str], value: object, subject: Subject
) -> Iterator[Remark]:
    key, flag = size
    having = [other for other in subject.servers if other.role == role and other.planned]
    there = {number(other.argv, flag) or 1 for other in having}
    if value is not None and (not isinstance(value, int) or (there and value not in there)):
        has = " or ".join(map(str, sorted(there)))
        message = f"{_FLAG} has {key} {value!r} for {role}, but its servers have {flag} {has}"
        yield Remark(server.command_key, f"{message}; make them equal", role, then=key)


def _one_per_command(subject: Subject) -> Iterator[Server]:
    """Return the first of the servers that share a command line, as ranks of a host do."""
    yield from {server.command_key: server for server in reversed(subject.servers)}.values()


def _configs(config: dict[str, object]) -> Iterator[dict[str, object]]:
    """Return a configuration, and those of its nested connectors."""
    yield config
    extra = config.get("kv_connector_extra_config")
    connectors = extra.get("connectors") if isinstance(extra, dict) else None
    for connector in connectors if isinstance(connectors, list) else ():
        if isinstance(connector, dict):
            yield from _configs(connector)
