"""Processes of a plan that are alike, one row for all of them. Pure."""

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
    """Processes of one host that are alike."""

    processes: tuple[PlannedProcess, ...]

    @property
    def first(self) -> PlannedProcess:
        """The one that stands for all."""
        return self.processes[0]

    @property
    def name(self) -> str:
        """All of their names, the common part once: `node-1-rank-0…15`."""
        first, last = self.first.name, self.processes[-1].name
        same = re.match(r"(.*\D)\d+\Z", first)
        return first if first == last else f"{first}…{last.removeprefix(same[1] if same else '')}"

    @property
    def ports(self) -> str:
        """Where they answer, as ranges."""
        return spans(one.port for one in self.processes)


def spans(numbers: Iterable[int]) -> str:
    """Write numbers as ranges: `0-3, 7`."""
    ordered = sorted(set(numbers))
    breaks = [at for at, (one, other) in enumerate(pairwise(ordered), 1) if other != one + 1]
    parts = [ordered[a:b] for a, b in pairwise([0, *breaks, len(ordered)])]
    return ", ".join(
        str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts if part
    )


def rows_of(plan: Plan) -> list[Row]:
    """Group neighbours of one host, role and shape."""
    rows: list[Row] = []
    for process in plan.processes:
        before = rows[-1].first if rows else None
        if before and _shape(before) == _shape(process):
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
