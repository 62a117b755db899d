"""List every benchmark of case files: its dataset found, made or missing, and its command.

usage: PYTHONPATH=. python tests/integration/tools/benchmarks_of_cases.py FOLDER …
The folders have case files; the datasets are those of this machine.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.load import cases_of
from ci.catalog.datasets import find, roots_of
from ci.check.lint import files_of
from ci.check.sample_inputs import sample_inputs
from ci.documents.source import read
from ci.errors import UserError
from ci.paths import workspace_of
from ci.plan.build import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from ci.case.benchmark import Benchmark


@dataclass(frozen=True)
class Row:
    """A benchmark: `state` is found, made, tool's own, or missing; `why` the reason for that."""

    file: str
    benchmark: Benchmark
    state: str
    why: str
    command: bool


def rows_of(paths: Sequence[str], roots: Sequence[Path]) -> Iterator[Row]:
    """Yield a row for every benchmark of every case that can be read."""
    for file in files_of(paths):
        try:
            cases = cases_of(read(file.read_bytes(), str(file)))
        except UserError:
            continue  # not a case, or one with errors; `inv check` reports them
        for case in cases:
            built = _built(case)
            for bench in case.benchmarks:
                yield Row(file.name, bench, *_state(bench, roots), bench.name in built)


def _built(case: object) -> set[str]:
    try:
        plan = build(case, sample_inputs(case))
    except UserError:
        return set()
    return {each.benchmark.name for each in plan.evaluations if each.argv}


def _state(bench: Benchmark, roots: Sequence[Path]) -> tuple[str, str]:
    states = {"controller": "found", "none": "tool's own", "made": "made"}
    try:
        dataset = find(bench, roots)
    except UserError as error:
        return "missing", str(error)
    return states[dataset.place], dataset.path or ""


if __name__ == "__main__":
    roots = roots_of(workspace_of(os.environ.get("LAMPLIGHTER_WORKSPACE", "")))
    rows = list(rows_of(sys.argv[1:], roots))
    for row in rows:
        built = "command built" if row.command else "NO COMMAND"
        name, path = row.benchmark.name, row.benchmark.dataset_path
        print(f"{row.file}: {name}: {path}: {row.state}, {built}: {row.why[:120]}")
    for state in dict.fromkeys(row.state for row in rows):
        print(f"{sum(row.state == state for row in rows)} of {len(rows)} {state}")
    print(f"{sum(row.command for row in rows)} of {len(rows)} commands built")
