"""Find the baselines that case files have, which hold until a ledger has one. Reads case files."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.known_metrics import ALSO, MAIN, STARTUP
from ci.documents.files import is_file, read_bytes
from ci.documents.source import read
from ci.errors import UserError
from ci.judge.asked import asked_in
from ci.judge.baseline import CaseBaseline

if TYPE_CHECKING:
    from ci.documents.source import Source
    from ci.judge.asked import Asked
    from ci.record.model import Run


def case_baseline(run: Run, benchmark: str, metric: str) -> CaseBaseline | None:
    """Return the baseline that the case had for a figure of a run; None if it had none.

    Args:
        run: the record.
        benchmark: name of the benchmark; `startup` of a figure of the servers' start.
        metric: of the figure.
    """
    figures = asked_in(run.benchmarks or (), run.startup_metrics)
    asked = next(
        (each for each in figures if (each.name, each.metric) == (benchmark, metric)), None
    )
    if asked is None or asked.expected is None:
        return None
    path = Path(run.folder) / run.config
    with suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return CaseBaseline(*asked.expected, location_of(path, asked))


def location_of(path: Path, asked: Asked) -> str:
    """Return the case file, and the line of a figure's baseline if the file still has it.

    Args:
        path: of the case file, as it is shown.
        asked: the figure, with its baseline.
    """
    try:
        source = read(read_bytes(path), str(path)) if is_file(path) else None
    except UserError:  # it has changed since, and `inv check` says what is wrong
        source = None
    lines = [] if source is None else _lines(source, asked)
    return f"{path}:{lines[0]}" if len(lines) == 1 else str(path)


def _lines(source: Source, asked: Asked) -> list[int]:
    """Return the lines of the key `baseline` in mappings with this name and value."""
    value = asked.expected[0] if asked.expected else None
    names = {asked.metric, *(name for name, figure in ALSO.items() if figure == asked.metric)}
    above: set[tuple[str, ...]] = {(asked.name,)} if asked.metric in MAIN.values() else set()
    above |= {(asked.name, "metrics", name) for name in names}
    above |= {(STARTUP, name) for name in names if asked.name == STARTUP}
    return [
        position.line
        for key, position in source.keys.items()
        if key[-1] == "baseline"
        and any(key[-len(each) - 1 : -1] == each for each in above)
        and _value_at(source.value, key) == value
    ]


def _value_at(value: object, key: tuple[str | int, ...]) -> object:
    for part in key:
        value = value[part]  # type: ignore[index] # the path is one of this document
    return value
