"""Print a table of nights as Markdown, for the summary of a workflow: `nights_summary.py FOLDER`.

FOLDER has the folders of runs, at any depth. The nights that ran no better than unknown come first.
"""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.record.stored import FILE, read_run
from ci.record.text import duration, headline_of

if TYPE_CHECKING:
    from ci.record.model import Run

# Worst first; a night that is still `running` has lost its controller.
ORDER = ("fail", "unknown", "running", "pass")
HEADINGS = ("case", "outcome", "cause", "took", "run")


def table(folder: Path) -> str:
    """Return the table, and below it the folders that cannot be read."""
    runs: list[Run] = []
    unread: list[str] = []
    for path in sorted(folder.glob(f"**/{FILE}")):
        try:
            runs.append(read_run(path.parent).run)
        except UserError as error:
            unread.append(f"- {_cell(str(error))}")
    if not runs and not unread:
        return "No night left a record; see the logs of the jobs.\n"
    runs.sort(key=lambda run: (ORDER.index(run.outcome), run.case, run.id))
    rows = [HEADINGS, tuple("---" for _ in HEADINGS), *map(_row, runs)]
    lines = ["| " + " | ".join(row) + " |" for row in rows] if runs else []
    return "\n".join([*lines, *([""] if lines and unread else []), *unread]) + "\n"


def _row(run: Run) -> tuple[str, ...]:
    took = duration(_seconds(run))
    cause = run.cause.message if run.cause else ""
    return tuple(map(_cell, (run.case, headline_of(run), cause, took, run.id)))


def _seconds(run: Run) -> float | None:
    if not run.ended_at:
        return None
    begin, end = map(datetime.fromisoformat, (run.started_at, run.ended_at))
    return (end - begin).total_seconds()


def _cell(text: str) -> str:
    """Return a text for a cell: on one line, with nothing that Markdown or HTML would read."""
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return plain.replace("|", "\\|").replace("`", "\\`")


if __name__ == "__main__":
    sys.stdout.write(table(Path(sys.argv[1])))
