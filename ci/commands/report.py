"""`inv report`: write the reports of a stored run again, from its run.json."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ci.errors import ExitCode, UserError
from ci.record.disk import Folder
from ci.record.stored import FILE, read_run
from ci.report.reports import render_reports

# The name of a run's folder begins with its start; see `run_id` of ci/record/start.py.
DATED = re.compile("20[0-9]{6}-")


def report(runs: str, run: str) -> ExitCode:
    """Write the reports of a run again, and return their paths.

    Args:
        runs: the folder of all runs.
        run: id of a run in it, or a run's folder; empty for the latest.

    Raises:
        UserError: there is no such run, or its record cannot be read.
    """
    stored = read_run(_folder(Path(runs), run))
    warnings: list[str] = []
    folder = Folder(stored.folder, warnings.append, "the old file is unchanged")
    rendered = render_reports(stored.folder, stored.run, warnings.append)
    written = [name for name, text in rendered.items() if folder.write(name, text)]
    for missing in stored.missing:
        print(f"note   a record of an older version, without {missing}")
    for warning in warnings:
        print(warning, file=sys.stderr)
    for name in written:
        print(f"report {stored.folder / name}")
    return ExitCode.UNKNOWN if warnings else ExitCode.PASS


def _folder(runs: Path, run: str) -> Path:
    """Find a run's folder.

    Raises:
        UserError: there is no run.
    """
    if run:
        named = Path(run)
        return named if os.path.lexists(named / FILE) else runs / run
    dated = (path.parent for path in runs.glob(f"*/{FILE}") if DATED.match(path.parent.name))
    latest = max(dated, default=None)
    if latest is None:
        raise UserError(f"no run in {runs}; name its folder, or the folder of runs with --runs")
    return latest
