"""`inv report`, `inv show`, `inv issue`: make reports of a stored run again, from its folder."""

from __future__ import annotations

import sys
from pathlib import Path

from ci.commands.which_run import run_named
from ci.errors import ExitCode
from ci.record.disk import Folder
from ci.report.reports import render_reports
from ci.report.table import width_of

# Outcomes of which there is nothing to report yet.
_NO_ISSUE = {
    "pass": "passed, so that nothing needs an issue; `inv runs --outcome fail` lists those that do",
    "running": "still runs: what follows is not its end; see `inv status`",
}


def report(runs: str, run: str) -> ExitCode:
    """Write the reports of a run again, and return their paths.

    Args:
        runs: the folder of all runs.
        run: as for `run_named`.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    stored = run_named(Path(runs), run)
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
        run: as for `run_named`.
        as_json: return JSON.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    from ci.report import page_text  # noqa: PLC0415 - as the page, only where one is made
    from ci.report.page.build import page_of  # noqa: PLC0415
    from ci.report.page.render import as_json as json_of  # noqa: PLC0415

    stored = run_named(Path(runs), run)
    page = page_of(stored.folder, stored.run)
    return json_of(page) if as_json else page_text.render(page, width_of(sys.stdout))


def issue(runs: str, run: str) -> str:
    """Return the text of an issue about a run, to be pasted.

    Args:
        runs: the folder of all runs.
        run: as for `run_named`.

    Raises:
        UserError: the run does not exist, or its record cannot be read.
    """
    from ci.report import issue  # noqa: PLC0415 - as the page, only where one is made
    from ci.report.page.build import page_of  # noqa: PLC0415

    stored = run_named(Path(runs), run)
    note = _NO_ISSUE.get(stored.run.outcome)
    if note:
        print(f"note   {stored.run.id} {note}", file=sys.stderr)
    return issue.render(page_of(stored.folder, stored.run))
