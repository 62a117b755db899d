"""Say what judging says of a night that was run twice with the same version."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ci.commands.compare import figure_cells
from ci.connect.printed import one_line
from ci.history.compare import NAMES, compare_runs
from ci.record.stored import read_run
from ci.report.table import as_text, width_of

if TYPE_CHECKING:
    from pathlib import Path

    from ci.judge.verdict import Check
    from ci.record.model import Run

HEADINGS = ("check", "metric", "first", "second", "difference", "outcomes")


def against_itself(first: Path, second: Path) -> str:
    """Compare a night with its second run, whose version is the same.

    Args:
        first: folder of the night.
        second: folder of the second run.

    Returns:
        A table of the checks, the paired test of each benchmark with items, and a sentence.

    Raises:
        UserError: a record cannot be read.
    """
    compared = compare_runs(read_run(first), read_run(second))
    a, b = compared.runs
    checks = {(check.name, check.metric) for check in b.checks}
    rows = [figure_cells(row) for row in compared.figures if (row.name, row.metric) in checks]
    names = dict(zip(NAMES, ("the first", "the second"), strict=True))
    lines = [one_line(f"{each.benchmark}: {_named(each.reason, names)}") for each in compared.items]
    head = f"against itself: {a.id}, then {b.id}\n"
    table = as_text(HEADINGS, rows, width_of(sys.stdout))
    return "\n".join([head + table.rstrip("\n"), *lines, verdict_of(b)]) + "\n"


def verdict_of(second: Run) -> str:
    """Say what judging says of the second run, in which nothing has changed.

    Args:
        second: its record.
    """
    judged = [check for check in second.checks if check.value is not None]
    wrong = [check for check in judged if check.outcome == "fail"]
    doubtful = [check for check in judged if check.outcome == "unknown"]
    if not judged:
        return "the second run has no figure: nothing can be said of judging"
    if not wrong and not doubtful:
        unjudged = sum(check.p is None and check.bound is None for check in judged)
        rest = f"; {unjudged} of them had nothing to be compared with" if unjudged else ""
        return (
            f"judging says of the second run: all {len(judged)} checks pass, as they should{rest}"
        )
    said = [f"{_shown(check)} fails: a false alarm" for check in wrong]
    said += [f"{_shown(check)} is unknown" for check in doubtful]
    return "judging says of the second run: " + "; ".join(said)


def _shown(check: Check) -> str:
    return one_line(f"{check.name} {check.metric} ({check.reason})")


def _named(reason: str, names: dict[str, str]) -> str:
    for short, long in names.items():
        reason = reason.replace(f"in {short}", f"in {long}")
    return reason
