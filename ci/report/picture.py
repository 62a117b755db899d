"""Plan → a picture of it for a person: hosts, what runs on each, who talks to whom. Pure.

Processes of one host that differ by their rank alone are one line, with ranges.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ci.plan.argv import nodes, number, option, parallel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ci.plan.argv import Parallel
    from ci.plan.model import Host, Plan, Process

WIDTH = 100
_LONG = 30
_VISIBLE = ("ASCEND_RT_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES")
_SIZES = (
    ("tp", "--tensor-parallel-size", "-tp"),
    ("pp", "--pipeline-parallel-size", "-pp"),
    ("pcp", "--prefill-context-parallel-size", "-pcp"),
)


@dataclass(frozen=True, eq=False)
class _Row:
    """Processes of one host that are alike."""

    processes: tuple[Process, ...]

    @property
    def first(self) -> Process:
        return self.processes[0]

    @property
    def name(self) -> str:
        """All of their names, the common part once: `node-1-rank-0…15`."""
        first, last = self.first.name, self.processes[-1].name
        same = re.match(r"(.*\D)\d+\Z", first)
        return first if first == last else f"{first}…{last.removeprefix(same[1] if same else '')}"

    @property
    def ports(self) -> str:
        return spans(one.port for one in self.processes)


def picture(plan: Plan, chosen: str = "") -> Iterator[str]:
    """Draw a plan, no line longer than 100 columns unless a name is.

    Args:
        plan: what to draw.
        chosen: name of the one host to draw; empty draws all.
    """
    rows = _rows(plan)
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
    edges = [(one, other, how) for one, other, how, at in _edges(plan, rows) if _on(at, chosen)]
    if edges:
        yield ""
        yield "  who talks to whom"
        width = max(len(one) for one, _, _ in edges)
        for one, other, how in edges:
            text = f"{one:<{width}} → {other}{f'  ({how})' if how else ''}"
            yield from _wrapped(text, "    ", width + 7)


def spans(numbers: Iterable[int]) -> str:
    """Write numbers as ranges: `0-3, 7`."""
    ordered = sorted(set(numbers))
    breaks = [at for at, (one, other) in enumerate(pairwise(ordered), 1) if other != one + 1]
    parts = [ordered[a:b] for a, b in pairwise([0, *breaks, len(ordered)])]
    return ", ".join(
        str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts if part
    )


def _on(hosts: Iterable[str], chosen: str) -> bool:
    return not chosen or chosen in hosts


def _wrapped(text: str, first: str, further: int) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=first,
        subsequent_indent=" " * further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _rows(plan: Plan) -> list[_Row]:
    """Group neighbours of one host, role and shape."""
    rows: list[_Row] = []
    for process in plan.everything:
        before = rows[-1].first if rows else None
        if before and _shape(before) == _shape(process):
            rows[-1] = _Row((*rows[-1].processes, process))
        else:
            rows.append(_Row((process,)))
    return rows


def _shape(process: Process) -> tuple[object, ...]:
    stem = re.sub(r"\d+\Z", "", process.name)
    share = parallel(process.argv)
    ranks = (share.size, share.local) if share else None
    sizes = tuple(_size(process, long, short) for _, long, short in _SIZES)
    return (process.host, process.node, process.role, process.headless, stem, ranks, sizes)


def _size(process: Process, long: str, short: str) -> int:
    return number(process.argv, long) or number(process.argv, short) or 1


def _host(plan: Plan, host: Host, rows: Sequence[_Row]) -> Iterator[str]:
    indices = sorted({one.node for row in rows for one in row.processes})
    label = "host" if len(plan.hosts) == 1 else f"node {'+'.join(map(str, indices))}"
    interface = host.interface or "interface asked of the host"
    lead = ", leads" if host.name == plan.leader and len(plan.hosts) > 1 else ""
    yield ""
    yield (
        f"  {label:<10} {host.name}: {host.address} ({interface}), workspace {host.workspace}{lead}"
    )


def _cells(plan: Plan, row: _Row) -> tuple[str, str, str, str]:
    return row.first.role, row.name, _answers(row), ", ".join(_facts(plan, row))


def _answers(row: _Row) -> str:
    if row.first.headless and row.first.role != "service":
        return "headless"
    return f":{row.ports}" if row.first.port else ""


def _facts(plan: Plan, row: _Row) -> Iterator[str]:
    """Devices, sizes, ranks and further ports, as far as there are any."""
    process = row.first
    if process.role not in {"router", "service"}:
        yield from _devices(plan, row)
        sizes = [f"{name} {_size(process, *flags)}" for name, *flags in _SIZES]
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


def _devices(plan: Plan, row: _Row) -> Iterator[str]:
    shown = [one.env[name] for one in row.processes for name in _VISIBLE if name in one.env]
    indices = [word.strip() for text in shown for word in text.split(",") if word.strip()]
    if indices:
        numeric = all(word.isdecimal() for word in indices)
        which = spans(map(int, indices)) if numeric else ", ".join(indices)
        yield f"device{'s' * (len(indices) > 1)} {which}"
    elif plan.case.npu_per_node:
        count = sum(map(_count, row.processes))
        yield f"{count} of {plan.case.npu_per_node} devices"
    else:
        yield "CPU"


def _count(process: Process) -> int:
    """How many devices of its host a process computes on."""
    share = parallel(process.argv)
    count = share.local if share else number(process.argv, "--data-parallel-size") or 1
    for _, long, short in _SIZES:
        count *= _size(process, long, short)
    return -(-count // nodes(process.argv))


_Edge = tuple[str, str, str, tuple[str, ...]]


def _edges(plan: Plan, rows: Sequence[_Row]) -> Iterator[_Edge]:
    """Who sends what to whom; the last of each are the hosts that it concerns."""
    servers = [row for row in rows if row.first.role not in {"router", "service"}]
    if plan.processes:
        asking = _asking(plan)
        at = f"{plan.router.name} " if plan.router else f"{_first_answering(plan)} "
        yield (asking, f"{at}{plan.endpoint.url}", "requests", (plan.leader,))
    if plan.router:
        for row in _behind(servers):
            to = f"{row.first.role} {row.name} {plan.host(row.first.host).address}:{row.ports}"
            yield (plan.router.name, to, "requests", (plan.router.host, row.first.host))
    yield from _transfer(servers)
    for row in servers:
        yield from _reporting(plan, row)
    for service in plan.services:
        for row in servers:
            to = f"{service.name} {plan.host(service.host).address}:{spans(service.ports)}"
            yield (row.name, to.removesuffix(":"), "service", (row.first.host, service.host))


def _asking(plan: Plan) -> str:
    names = ", ".join(item.benchmark.name for item in plan.evaluations) or "smoke test"
    return names if len(names) <= _LONG else f"{len(plan.evaluations)} benchmarks"


def _first_answering(plan: Plan) -> str:
    return next(one.name for one in plan.processes if not one.headless)


def _behind(servers: Sequence[_Row]) -> list[_Row]:
    answering = [row for row in servers if not row.first.headless]
    return [row for row in answering if row.first.role != "mixed"] or answering


def _transfer(servers: Sequence[_Row]) -> Iterator[_Edge]:
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


def _connector(process: Process) -> str:
    try:
        value = json.loads(option(process.argv, "--kv-transfer-config") or "{}")
    except (ValueError, RecursionError):
        return ""
    name = value.get("kv_connector") if isinstance(value, dict) else None
    return name if isinstance(name, str) else ""


def _reporting(plan: Plan, row: _Row) -> Iterator[_Edge]:
    """Ranks meet at their head, and nodes that share a rank at the first of them."""
    ways: tuple[tuple[str, str, Callable[[Process], bool]], ...] = (
        ("--data-parallel-address", "--data-parallel-rpc-port", _is_later_rank),
        ("--master-addr", "--master-port", lambda one: bool(number(one.argv, "--node-rank"))),
    )
    for address, port, reports in ways:
        late = [one for one in row.processes if reports(one)]
        at = option(late[0].argv, address) if late else None
        if late and at:
            there = next((host.name for host in plan.hosts if host.address == at), "")
            to = f"{at}:{option(late[0].argv, port) or '?'}".removesuffix(":?")
            how = "data-parallel head" if port.startswith("--data") else "first node of the rank"
            yield (_Row(tuple(late)).name, f"{there} {to}".strip(), how, (late[0].host, there))


def _is_later_rank(process: Process) -> bool:
    share = parallel(process.argv)
    return share is not None and share.start > 0
