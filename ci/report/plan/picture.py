"""Plan → a picture of it for a person: hosts, what runs on each, who talks to whom. Pure.

Processes of one host that differ by their rank alone are one line, with ranges.
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
    """Draw a plan, no line longer than 100 columns unless a name is.

    Args:
        plan: what to draw.
        chosen: name of the one host to draw; empty draws all.
    """
    rows = rows_of(plan)
    table = {row: _cells(plan, row) for row in rows}
    widths = [max((len(cells[at]) for cells in table.values()), default=0) for at in range(3)]
    for host in plan.hosts:
        if chosen in {"", host.name}:
            here = [row for row in rows if row.first.host == host.name]
            yield from _host(plan, host, here)
            for row in here:
                *start, facts = table[row]
                columns = "  ".join(map(str.ljust, start, widths))
                yield from _wrapped(f"{columns}  {facts}".rstrip(), "    ", sum(widths) + 10)
    talks = [talk for *talk, hosts in edges(plan, rows) if not chosen or chosen in hosts]
    if talks:
        yield ""
        yield "  who talks to whom"
        width = max(len(one) for one, _, _ in talks)
        for one, other, how in talks:
            yield from _wrapped(f"{one:<{width}} → {other}  ({how})", "    ", width + 7)


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
    indices = sorted({one.node for row in rows for one in row.processes})
    label = "host" if len(plan.hosts) == 1 else f"node {'+'.join(map(str, indices))}"
    interface = host.interface or "interface asked of the host"
    lead = ", leads" if host.name == plan.leader and len(plan.hosts) > 1 else ""
    yield ""
    yield (
        f"  {label:<10} {host.name}: {host.address} ({interface}), workspace {host.workspace}{lead}"
    )


def _cells(plan: Plan, row: Row) -> tuple[str, str, str, str]:
    return row.first.role, row.name, _answers(row), ", ".join(_facts(plan, row))


def _answers(row: Row) -> str:
    if row.first.headless and row.first.role != "service":
        return "headless"
    return f":{row.ports}" if row.first.port else ""


def _facts(plan: Plan, row: Row) -> Iterator[str]:
    """Devices, sizes, ranks and further ports, as far as there are any."""
    process = row.first
    if process.role not in {"router", "service"}:
        yield from _devices(plan, row)
        sizes = [f"{name} {size(process.argv, name)}" for name in SIZES]
        yield from (one for one in sizes if not one.endswith(" 1"))
        shares = [share for one in row.processes if (share := parallel(one.argv))]
        if shares and shares[0].size > 1:
            ranks = spans(rank for share in shares for rank in _ranks(share))
            yield f"data-parallel rank{'s' * ('-' in ranks)} {ranks} of {shares[0].size}"
        if nodes(process.argv) > 1:
            rank = number(process.argv, "--node-rank") or 0
            yield f"node {rank} of {nodes(process.argv)} that share each rank"
    others = {port for one in row.processes for port in one.ports} - {
        one.port for one in row.processes
    }
    if others:
        yield f"also listens on {spans(others)}"


def _ranks(share: Parallel) -> range:
    return range(share.start, share.start + share.local)


def _devices(plan: Plan, row: Row) -> Iterator[str]:
    shown = [visible(one.env) for one in row.processes]
    named = list(dict.fromkeys(device for devices in shown for device in devices or ()))
    if named:
        numeric = all(device.isdecimal() for device in named)
        which = spans(map(int, named)) if numeric else ", ".join(named)
        yield f"device{'s' * (len(named) > 1)} {which}"
    elif None not in shown:
        yield "no device"
    elif plan.case.npu_per_node:
        count = sum(devices_of(one.argv) for one in row.processes)
        yield f"{count} of {plan.case.npu_per_node} devices"
    else:
        yield "CPU"
