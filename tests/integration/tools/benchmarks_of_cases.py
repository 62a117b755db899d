"""List every benchmark of case files: its dataset found, made or missing, its command, its run.

usage: PYTHONPATH=. python tests/integration/tools/benchmarks_of_cases.py [--run] FOLDER …
The folders have case files; the datasets are those of this machine. `--run` runs each benchmark in
small form against a server that knows the answers, with a dataset of our own in the form of one
that is missing. It needs LAMPLIGHTER_TEST_AISBENCH_BIN and LAMPLIGHTER_TEST_LM_EVAL_BIN.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
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

    from ci.case.benchmark import Benchmark
    from ci.case.model import Case

TESTS = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Row:
    """A benchmark of a case.

    Attributes:
        file: the case's file.
        benchmark: as the case has it.
        state: found, made, tool's own, or missing; `where` its folder, or why it is missing.
        command: `command built`, or why there is none.
        ran: `ran`, or why not; empty if it was not tried.
    """

    file: str
    benchmark: Benchmark
    state: str
    where: str
    command: str
    ran: str = ""

    @property
    def text(self) -> str:
        """Return the row as a line."""
        bench = self.benchmark
        cells = [self.state, self.command, *([self.ran] if self.ran else [])]
        texts = [self.file, bench.name, bench.dataset_path or "", *cells, self.where]
        return " | ".join(text.replace("\n", " ")[:200] for text in texts)


BUILT, RAN = "command built", "ran"


def rows_of(paths: Sequence[str], roots: Sequence[Path]) -> Iterator[Row]:
    """Yield a row for every benchmark of every case that can be read."""
    for file in files_of(paths):
        try:
            cases = cases_of(read(file.read_bytes(), str(file)))
        except UserError:
            continue  # not a case, or one with errors; `inv check` reports them
        for case in cases:
            refused = _refused(case)
            for bench in case.benchmarks:
                yield Row(file.name, bench, *_state(bench, roots), refused or BUILT)


def _refused(case: Case) -> str:
    """Return why a plan does not have every command; empty if it has."""
    try:
        plan = build(case, sample_inputs(case))
    except UserError as error:
        return f"no plan: {error}"
    lacking = [each.benchmark.name for each in plan.evaluations if not each.argv]
    return f"no command of {', '.join(lacking)}" if lacking else ""


def _state(bench: Benchmark, roots: Sequence[Path]) -> tuple[str, str]:
    states = {"controller": "found", "none": "tool's own", "made": "made"}
    try:
        dataset = find(bench, roots)
    except UserError as error:
        return "missing", str(error)
    return states[dataset.place], dataset.path or ""


def with_runs(rows: Sequence[Row], roots: Sequence[Path]) -> list[Row]:
    """Run the benchmark of every row."""
    sys.path += [str(TESTS), str(TESTS / "integration")]
    from small_runs import different, run_all, small  # noqa: PLC0415 - only here with its folders in the path

    benchmarks = different(row.benchmark for row in rows)
    outcomes = run_all(benchmarks, roots, os.cpu_count() or 1)
    return [replace(row, ran=outcomes[small(row.benchmark).model_dump_json()]) for row in rows]


def sums_of(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the totals of a table."""
    for state in dict.fromkeys(row.state for row in rows):
        yield f"{sum(row.state == state for row in rows)} of {len(rows)} {state}"
    yield f"{sum(row.command == BUILT for row in rows)} of {len(rows)} {BUILT}"
    if any(row.ran for row in rows):
        yield f"{sum(row.ran == RAN for row in rows)} of {len(rows)} {RAN}"


def main(words: list[str]) -> None:
    """Print the table of the folders on the command line."""
    roots = roots_of(workspace_of(os.environ.get("LAMPLIGHTER_WORKSPACE", "")))
    rows = list(rows_of([word for word in words if word != "--run"], roots))
    if "--run" in words:
        rows = with_runs(rows, roots)
    print(*(row.text for row in rows), *sums_of(rows), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
