"""Who talks to whom in a plan: requests, key-value caches, ranks to their heads. Pure."""

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
    """Who sends what to whom; the last of each are the hosts that it concerns."""
    servers = [row for row in rows if row.first.role not in {"router", "service"}]
    if plan.servers:
        asking = _asking(plan)
        at = f"{plan.router.name} " if plan.router else f"{_first_answering(plan)} "
        yield (asking, f"{at}{plan.endpoint.url}", "requests", (plan.leader,))
    if plan.router:
        for row in _behind(servers):
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


def _asking(plan: Plan) -> str:
    names = ", ".join(item.benchmark.name for item in plan.evaluations) or "smoke test"
    return names if len(names) <= _LONG else f"{len(plan.evaluations)} benchmarks"


def _first_answering(plan: Plan) -> str:
    return next(one.name for one in plan.servers if not one.headless)


def _behind(servers: Sequence[Row]) -> list[Row]:
    answering = [row for row in servers if not row.first.headless]
    return [row for row in answering if row.first.role != "mixed"] or answering


def _transfer(servers: Sequence[Row]) -> Iterator[Edge]:
    """Prefill servers hand the key-value cache to decode servers."""
    of = {
        role: [row for row in servers if row.first.role == role] for role in ("prefill", "decode")
    }
    connectors = dict.fromkeys(
        name for row in servers for one in row.processes if (name := _connector(one))
    )
    if of["prefill"] and of["decode"] and connectors:
        hosts = tuple(row.first.host for rows in of.values() for row in rows)
        how = f"key-value cache, {', '.join(connectors)}"
        yield ("all prefill servers", "all decode servers", how, hosts)


def _connector(process: PlannedProcess) -> str:
    name = json_option(process.argv, "--kv-transfer-config").get("kv_connector")
    return name if isinstance(name, str) else ""


def _reporting(plan: Plan, row: Row) -> Iterator[Edge]:
    """Ranks meet at their head, and nodes that share a rank at the first of them."""
    ways: tuple[tuple[str, str, Callable[[PlannedProcess], bool]], ...] = (
        ("--data-parallel-address", "--data-parallel-rpc-port", _is_later_rank),
        ("--master-addr", "--master-port", lambda one: bool(number(one.argv, "--node-rank"))),
    )
    for address, port, reports in ways:
        late = [one for one in row.processes if reports(one)]
        at = option(late[0].argv, address) if late else None
        if late and at:
            there = next((host.name for host in plan.hosts if host.address == at), "")
            given = option(late[0].argv, port)
            to = host_port(at, given) if given else at
            how = "data-parallel head" if port.startswith("--data") else "first node of the rank"
            yield (Row(tuple(late)).name, f"{there} {to}".strip(), how, (late[0].host, there))


def _is_later_rank(process: PlannedProcess) -> bool:
    share = parallel(process.argv)
    return share is not None and share.start > 0
