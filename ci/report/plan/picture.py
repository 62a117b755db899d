"""Draw a plan as text: hosts, the processes of each, their connections. Pure.

Processes of a host that differ only in their rank are one line, with ranges.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from ci.report.plan.edges import edges
from ci.report.plan.rows import rows_of, spans
from ci.vllm.command_line import nodes, number, parallel
from ci.vllm.devices import SIZES, devices_of, size, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ci.plan.model import Host, Plan
    from ci.report.plan.rows import Row
    from ci.vllm.command_line import Parallel

WIDTH = 100


def picture(plan: Plan, chosen: str = "") -> Iterator[str]:
    """Draw a plan in lines of at most 100 columns; a long name is not split.

    Args:
        plan: the plan.
        chosen: name of the host to draw; empty for all hosts.
    """
    rows = rows_of(plan)
    table = {row: _cells(plan, row) for row in rows}
    widths = [
        max((len(cells[column]) for cells in table.values()), default=0) for column in range(3)
    ]
    for host in plan.hosts:
        if chosen in {"", host.name}:
            own_rows = [row for row in rows if row.first.host == host.name]
            yield from _host(plan, host, own_rows)
            for row in own_rows:
                *start, facts = table[row]
                columns = "  ".join(map(str.ljust, start, widths))
                yield from _wrapped(f"{columns}  {facts}".rstrip(), "    ", sum(widths) + 10)
    connections = [
        connection for *connection, hosts in edges(plan, rows) if not chosen or chosen in hosts
    ]
    if connections:
        yield ""
        yield "  who talks to whom"
        width = max(len(sender) for sender, _, _ in connections)
        for sender, receiver, how in connections:
            yield from _wrapped(f"{sender:<{width}} → {receiver}  ({how})", "    ", width + 7)


def _wrapped(text: str, first: str, further: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _host(plan: Plan, host: Host, rows: Sequence[Row]) -> Iterator[str]:
    indices = sorted({process.node for row in rows for process in row.processes})
    label = "host" if len(plan.hosts) == 1 else f"node {'+'.join(map(str, indices))}"
    interface = host.interface or "interface asked of the host"
    lead = ", leads" if host.name == plan.leader and len(plan.hosts) > 1 else ""
    yield ""
    yield (
        f"  {label:<10} {host.name}: {host.address} ({interface}), workspace {host.workspace}{lead}"
    )


def _cells(plan: Plan, row: Row) -> tuple[str, str, str, str]:
    return row.first.role, row.name, _listens(row), ", ".join(_facts(plan, row))


def _listens(row: Row) -> str:
    if row.first.headless and row.first.role != "service":
        return "headless"
    return f":{row.ports}" if row.first.port else ""


def _facts(plan: Plan, row: Row) -> Iterator[str]:
    """List devices, sizes, ranks and additional ports."""
    process = row.first
    if process.role not in {"router", "service"}:
        yield from _devices(plan, row)
        sizes = [f"{name} {size(process.argv, name)}" for name in SIZES]
        yield from (text for text in sizes if not text.endswith(" 1"))
        shares = [share for server in row.processes if (share := parallel(server.argv))]
        if shares and shares[0].size > 1:
            ranks = spans(rank for share in shares for rank in _ranks(share))
            yield f"data-parallel rank{'s' * ('-' in ranks)} {ranks} of {shares[0].size}"
        if nodes(process.argv) > 1:
            rank = number(process.argv, "--node-rank") or 0
            yield f"node {rank} of {nodes(process.argv)} that share each rank"
    ports = {port for member in row.processes for port in member.ports}
    others = ports - {member.port for member in row.processes}
    if others:
        yield f"also listens on {spans(others)}"


def _ranks(share: Parallel) -> range:
    return range(share.start, share.start + share.local)


def _devices(plan: Plan, row: Row) -> Iterator[str]:
    shown = [visible(process.env) for process in row.processes]
    named = list(dict.fromkeys(device for devices in shown for device in devices or ()))
    if named:
        numeric = all(device.isdecimal() for device in named)
        which = spans(map(int, named)) if numeric else ", ".join(named)
        yield f"device{'s' * (len(named) > 1)} {which}"
    elif None not in shown:
        yield "no device"
    elif plan.case.npu_per_node:
        count = sum(devices_of(process.argv) for process in row.processes)
        yield f"{count} of {plan.case.npu_per_node} devices"
    else:
        yield "CPU"
