"""Find the baselines that case files have, which hold until a ledger has one. Reads case files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.files import is_file, read_bytes
from ci.documents.source import read
from ci.errors import UserError
from ci.judge.baseline import CaseBaseline
from ci.judge.verdict import METRICS

if TYPE_CHECKING:
    from ci.documents.source import Source
    from ci.judge.verdict import Expectation
    from ci.record.model import Run


def case_baseline(run: Run, benchmark: str, metric: str) -> CaseBaseline | None:
    """Return the baseline that the case had for a figure of a run; None if it had none.

    Args:
        run: the record.
        benchmark: name of the benchmark.
        metric: of the figure; a case has a baseline for one metric of each benchmark.
    """
    entry = next((each for each in run.benchmarks or () if each.name == benchmark), None)
    if entry is None or entry.expected is None or METRICS[entry.case_type][0] != metric:
        return None
    path = Path(run.folder) / run.config
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return CaseBaseline(*entry.expected, location_of(path, entry))


def location_of(path: Path, benchmark: Expectation) -> str:
    """Return the case file, and the line of a benchmark's baseline if the file still has it.

    Args:
        path: of the case file, as it is shown.
        benchmark: with its baseline.
    """
    value = benchmark.expected[0] if benchmark.expected else None
    try:
        source = read(read_bytes(path), str(path)) if is_file(path) else None
    except UserError:  # it has changed since, and `inv check` says what is wrong
        source = None
    lines = [] if source is None else _lines(source, benchmark.name, value)
    return f"{path}:{lines[0]}" if len(lines) == 1 else str(path)


def _lines(source: Source, name: str, value: float | None) -> list[int]:
    """Return the lines of the key `baseline` in mappings with this name and value."""
    return [
        position.line
        for key, position in source.keys.items()
        if key[-2:] == (name, "baseline") and _value_at(source.value, key) == value
    ]


def _value_at(value: object, key: tuple[str | int, ...]) -> object:
    for part in key:
        value = value[part]  # type: ignore[index] # the path is one of this document
    return value
