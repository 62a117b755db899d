"""List the connections of a plan: requests, key-value caches, ranks to their heads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.documents.address import host_port
from ci.report.plan.rows import Row, spans
from ci.vllm.command_line import json_option, number, option, parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ci.plan.model import Plan, PlannedProcess

_LONG = 30
Edge = tuple[str, str, str, tuple[str, ...]]


def edges(plan: Plan, rows: Sequence[Row]) -> Iterator[Edge]:
    """List the connections: sender, receiver, content, and the hosts of both."""
    servers = [row for row in rows if row.first.role not in {"router", "service"}]
    if plan.servers:
        requesters = _requesters(plan)
        at = f"{plan.router.name} " if plan.router else f"{_first_endpoint(plan)} "
        yield (requesters, f"{at}{plan.endpoint.url}", "requests", (plan.leader,))
    for item in plan.evaluations:
        if item.server:
            at = next(server.host for server in plan.servers if server.name == item.server)
            to = f"{item.server} {item.endpoint.url}"
            yield (item.benchmark.name, to, "requests", (item.host, at))
    if plan.router:
        for row in _behind_router(servers):
            at = host_port(plan.host(row.first.host).address, row.ports)
            to = f"{row.first.role} {row.name} {at}"
            yield (plan.router.name, to, "requests", (plan.router.host, row.first.host))
    yield from _transfer(servers)
    for row in servers:
        yield from _reporting(plan, row)
    for service in plan.services:
        for row in servers:
            at = host_port(plan.host(service.host).address, spans(service.ports))
            to = f"{service.name} {at}"
            yield (row.name, to.removesuffix(":"), "service", (row.first.host, service.host))


def _requesters(plan: Plan) -> str:
    asking = [item.benchmark.name for item in plan.evaluations if not item.server]
    names = ", ".join(asking) or "smoke test"
    return names if len(names) <= _LONG else f"{len(asking)} benchmarks"


def _first_endpoint(plan: Plan) -> str:
    return next(server.name for server in plan.servers if not server.headless)


def _behind_router(servers: Sequence[Row]) -> list[Row]:
    endpoints = [row for row in servers if not row.first.headless]
    return [row for row in endpoints if row.first.role != "mixed"] or endpoints


def _transfer(servers: Sequence[Row]) -> Iterator[Edge]:
    """List the transfer of the key-value cache from prefill to decode servers."""
    of = {
        role: [row for row in servers if row.first.role == role] for role in ("prefill", "decode")
    }
    connectors = dict.fromkeys(
        name for row in servers for server in row.processes if (name := _connector(server))
    )
    if of["prefill"] and of["decode"] and connectors:
        hosts = tuple(row.first.host for rows in of.values() for row in rows)
        how = f"key-value cache, {', '.join(connectors)}"
        yield ("all prefill servers", "all decode servers", how, hosts)


def _connector(process: PlannedProcess) -> str:
    name = json_option(process.argv, "--kv-transfer-config").get("kv_connector")
    return name if isinstance(name, str) else ""


def _reporting(plan: Plan, row: Row) -> Iterator[Edge]:
    """List the connections of ranks to their head, and of nodes that share a rank to the first."""
    groups: tuple[tuple[str, str, Callable[[PlannedProcess], bool]], ...] = (
        ("--data-parallel-address", "--data-parallel-rpc-port", _is_later_rank),
        ("--master-addr", "--master-port", lambda server: bool(number(server.argv, "--node-rank"))),
    )
    for address, port, reports in groups:
        members = [server for server in row.processes if reports(server)]
        at = option(members[0].argv, address) if members else None
        if members and at:
            head = next((host.name for host in plan.hosts if host.address == at), "")
            given = option(members[0].argv, port)
            to = host_port(at, given) if given else at
            how = "data-parallel head" if port.startswith("--data") else "first node of the rank"
            yield (Row(tuple(members)).name, f"{head} {to}".strip(), how, (members[0].host, head))


def _is_later_rank(process: PlannedProcess) -> bool:
    share = parallel(process.argv)
    return share is not None and share.start > 0
