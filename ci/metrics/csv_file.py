"""Read a CSV of performance as vllm-cibench writes it, and make its metrics. Reads one file.

Its names and its mean over the rows are kept, so that dashboards made for it go on:
`throughput_rps` becomes `ci_perf_throughput_rps_avg`.
"""

from __future__ import annotations

import csv
import io
import math
import re
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.documents.files import read_bytes
from ci.documents.source import MAX_BYTES
from ci.errors import UserError
from ci.metrics.families import CSV_JOB, Family, Group, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# What a row was measured with; no figures.
LOAD = frozenset({"concurrency", "input_len", "output_len"})
MAX_COLUMNS = 50
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,63}")
# As spreadsheets of many countries write 1.5 and 1234.5.
_DECIMAL_COMMA = re.compile(r"[+-]?\d[\d.]*,\d+")
_EXAMPLE = "concurrency,input_len,output_len,latency_p50_ms,throughput_rps"


def figures_in(path: Path) -> dict[str, float]:
    """Read the mean of each column of figures; columns of texts are left out.

    Args:
        path: the CSV, whose first line names the columns.

    Returns:
        Name of the metric → mean.

    Raises:
        UserError: the file cannot be read, or is not such a CSV; with file, line and column.
    """
    rows = _rows(path)
    columns = rows[0]
    figures: dict[str, float] = {}
    for at, column in enumerate(columns):
        name = column.strip().lower()
        cells = [(line, row[at].strip()) for line, row in enumerate(rows[1:], 2) if row]
        for line, text in cells:
            if _DECIMAL_COMMA.fullmatch(text):
                raise UserError(
                    f"{path}:{line}: {one_line(name)}: expected a number, got {text[:40]!r}; write "
                    "a point for the decimals"
                )
        numbers = [_number(text) for _, text in cells]
        if name in LOAD or all(number is None for number in numbers):
            continue
        if not _COLUMN.fullmatch(name):
            raise UserError(
                f"{path}:1: column {one_line(column)!r}: expected letters, digits and _, as in "
                f"`{_EXAMPLE}`"
            )
        metric = f"ci_perf_{name}_avg"
        if metric in figures:
            raise UserError(f"{path}:1: two columns are named {name}; rename one")
        values = []
        for (line, text), number in zip(cells, numbers, strict=True):
            if number is None:
                raise UserError(
                    f"{path}:{line}: {name}: expected a number, got {one_line(text)[:40]!r}"
                )
            values.append(number)
        figures[metric] = math.fsum(values) / len(values)
    if not figures:
        raise UserError(f"{path}: no column has figures; the first lines look like `{_EXAMPLE}`")
    return figures


def group_of(figures: Mapping[str, float], labels: Mapping[str, str]) -> Group:
    """Make the group of metrics of a CSV; the labels name it.

    Args:
        figures: name of the metric → value.
        labels: those of the command line, and the run type.
    """
    families = tuple(
        Family(
            name,
            f"Mean over the rows of column {name.removeprefix('ci_perf_').removesuffix('_avg')}.",
            (Sample(labels, figure),),
        )
        for name, figure in figures.items()
    )
    return Group(CSV_JOB, labels, families)


def _rows(path: Path) -> Sequence[list[str]]:
    try:
        data = read_bytes(path)
        if len(data) > MAX_BYTES:
            raise UserError(f"{path} is larger than {MAX_BYTES >> 20} MiB; is it a CSV of figures?")
        text = data.decode("utf-8-sig")
        rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8; save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV: {error}") from None
    _require_commas(path, rows)
    if len(rows) < 2:  # noqa: PLR2004 - the names, and one row
        raise UserError(f"{path} has no rows; the first lines look like `{_EXAMPLE}`")
    if len(rows[0]) > MAX_COLUMNS:
        raise UserError(f"{path}:1: {len(rows[0])} columns; at most {MAX_COLUMNS} are pushed")
    for line, row in enumerate(rows, 1):
        if row and len(row) != len(rows[0]):
            expected = f"expected {len(rows[0])} values, as line 1 names so many columns"
            raise UserError(f"{path}:{line}: {expected}, got {len(row)}")
    return rows


def _require_commas(path: Path, rows: Sequence[list[str]]) -> None:
    if not rows or len(rows[0]) != 1:
        return
    for mark, shown in ((";", "';'"), ("\t", "a tab")):
        if mark in rows[0][0]:
            raise UserError(
                f"{path}:1: its columns are separated by {shown}; save it with commas, as in "
                f"`{_EXAMPLE}`"
            )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
