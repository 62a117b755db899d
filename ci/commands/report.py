"""`inv report`, `inv show`, `inv issue`: make reports of a stored run again, from its folder."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ci.errors import ExitCode, UserError
from ci.record.disk import Folder
from ci.record.stored import FILE, read_run
from ci.report.reports import render_reports
from ci.report.table import width_of

# The name of a run's folder begins with its start; see `run_id` of ci/record/start.py.
DATED = re.compile("20[0-9]{6}-")


def report(runs: str, run: str) -> ExitCode:
    """Write the reports of a run again, and return their paths.

    Args:
        runs: the folder of all runs.
        run: id of a run in it, or a run's folder; empty for the latest.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    stored = read_run(folder_of(Path(runs), run))
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


def show(runs: str, run: str, *, as_json: bool) -> str:
    """Return a run as text for a terminal, or as the content of report.json.

    Args:
        runs: the folder of all runs.
        run: id of a run in it, or a run's folder; empty for the latest.
        as_json: return JSON.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    from ci.report import page_text  # noqa: PLC0415 - as the page, only where one is made
    from ci.report.page.build import page_of  # noqa: PLC0415
    from ci.report.page.render import as_json as json_of  # noqa: PLC0415

    stored = read_run(folder_of(Path(runs), run))
    page = page_of(stored.folder, stored.run)
    return json_of(page) if as_json else page_text.render(page, width_of(sys.stdout))


def issue(runs: str, run: str) -> str:
    """Return the text of an issue about a run, to be pasted.

    Args:
        runs: the folder of all runs.
        run: id of a run in it, or a run's folder; empty for the latest.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    from ci.report import issue  # noqa: PLC0415 - as the page, only where one is made
    from ci.report.page.build import page_of  # noqa: PLC0415

    stored = read_run(folder_of(Path(runs), run))
    return issue.render(page_of(stored.folder, stored.run))


def folder_of(runs: Path, run: str) -> Path:
    """Find a run's folder.

    Args:
        runs: the folder of all runs.
        run: id of a run in it, or a run's folder; empty for the latest.

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
