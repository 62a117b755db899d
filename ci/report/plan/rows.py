"""Group similar processes of a plan into rows. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from ci.vllm.command_line import parallel
from ci.vllm.devices import SIZES, size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ci.plan.model import Plan, PlannedProcess


@dataclass(frozen=True, eq=False)
class Row:
    """Processes of one host that differ only in rank, port and devices."""

    processes: tuple[PlannedProcess, ...]

    @property
    def first(self) -> PlannedProcess:
        """Return the first process, which represents the row."""
        return self.processes[0]

    @property
    def name(self) -> str:
        """Return the names of all processes, with the common part once: `node-1-rank-0…15`."""
        first, last = self.first.name, self.processes[-1].name
        same = re.match(r"(.*\D)\d+\Z", first)
        return first if first == last else f"{first}…{last.removeprefix(same[1] if same else '')}"

    @property
    def ports(self) -> str:
        """Return the ports of the processes as ranges."""
        return spans(process.port for process in self.processes)


def spans(numbers: Iterable[int]) -> str:
    """Write numbers as ranges: `0-3, 7`."""
    ordered = sorted(set(numbers))
    breaks = [i for i, (a, b) in enumerate(pairwise(ordered), 1) if b != a + 1]
    parts = [ordered[start:end] for start, end in pairwise([0, *breaks, len(ordered)])]
    return ", ".join(
        str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts if part
    )


def rows_of(plan: Plan) -> list[Row]:
    """Group consecutive processes with the same host, role and sizes."""
    rows: list[Row] = []
    for process in plan.processes:
        last = rows[-1].first if rows else None
        if last and _shape(last) == _shape(process):
            rows[-1] = Row((*rows[-1].processes, process))
        else:
            rows.append(Row((process,)))
    return rows


def _shape(process: PlannedProcess) -> tuple[object, ...]:
    stem = re.sub(r"\d+\Z", "", process.name)
    share = parallel(process.argv)
    ranks = (share.size, share.local) if share else None
    sizes = tuple(size(process.argv, name) for name in SIZES)
    return (process.host, process.node, process.role, process.headless, stem, ranks, sizes)
