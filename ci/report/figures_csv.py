"""Write all figures of a run as CSV. Pure."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from ci.connect.printed import one_line

if TYPE_CHECKING:
    from ci.record.model import Run

COLUMNS = (
    *("run", "case", "started_at", "vllm", "benchmark", "metric", "value", "unit", "n"),
    *("outcome", "baseline", "bound", "operator", "source"),
)
# A spreadsheet takes a cell that begins so for a formula: https://owasp.org/www-community/attacks/CSV_Injection
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def render(run: Run) -> str:
    """Write a line for each figure that was measured, and for each check that has a value."""
    checks = {(check.name, check.metric): check for check in run.checks}
    measured: list[tuple[str, str, float | None, str, int | str, str]] = [
        (figure.benchmark, figure.metric, figure.value, figure.unit, figure.n, figure.source)
        for figures in (*(each.measurements for each in run.evaluations), run.startup_figures)
        for figure in figures
    ]
    known = {(row[0], row[1]) for row in measured}
    measured += [
        (check.name, check.metric, check.value, check.unit, "", check.source)
        for key, check in checks.items()
        if key not in known and check.value is not None
    ]
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    vllm = run.versions.get("vllm served", run.versions.get("vllm", ""))
    for name, metric, value, unit, n, source in measured:
        check = checks.get((name, metric))
        judged = (
            (check.outcome, _number(check.baseline), _number(check.bound), check.operator)
            if check
            else ("", "", "", "")
        )
        row = (run.id, run.case, run.started_at, vllm, name, metric, value, unit, n)
        writer.writerow([_cell(each) for each in (*row, *judged, source)])
    return text.getvalue()


def _number(value: float | None) -> float | str:
    return "" if value is None else value


def _cell(value: object) -> object:
    """Write a text so that a spreadsheet shows it, and computes nothing; numbers stay numbers."""
    if not isinstance(value, str):
        return value
    text = one_line(value)
    return f"'{text}" if text.startswith(FORMULA) else text
