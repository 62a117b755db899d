"""`inv report.index` and `inv report.serve`: the page of all nights, and a server for it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.history import folder_of_baselines, warn
from ci.documents.counted import counted
from ci.errors import ExitCode
from ci.paths import SUITES
from ci.report.pages.build import build_index
from ci.report.pages.names import INDEX
from ci.report.pages.read_standings import hosts_apart, muted_in
from ci.report.pages.server import ReportServer

if TYPE_CHECKING:
    from ci.commands.report_flags import Index, Serve

# Between two lines about a build that takes long.
_CASES_A_LINE = 20


def write_index(given: Index) -> ExitCode:
    """Write runs/index.html and the details of each case beside it; print where.

    Raises:
        UserError: there is no night yet, or the history is damaged.
    """
    runs = Path(given.runs)
    today = datetime.now(UTC).date()
    built = build_index(
        runs,
        folder_of_baselines(given.baselines),
        warn=warn,
        standings=(*muted_in(SUITES, today, warn), *hosts_apart(warn)),
        afresh=given.afresh,
        progress=_progress,
    )
    for failure in built.failures:
        warn(failure)
    if built.failures:
        return ExitCode.UNKNOWN
    print(
        f"{built.path}: {counted(built.nights, 'night')} of {counted(built.cases, 'case')}, "
        f"{counted(built.rebuilt, 'case')} made again\n"
        "open it in a browser, or run `inv report.serve` for others"
    )
    return ExitCode.PASS


def _progress(done: int, of: int) -> None:
    if done and done % _CASES_A_LINE == 0 and done < of:
        print(f"{done} of {of} cases", file=sys.stderr, flush=True)


def serve(given: Serve) -> ExitCode:
    """Serve the page and the reports until Ctrl-C.

    Raises:
        UserError: the folder does not exist, or the address cannot be used.
        KeyboardInterrupt: on Ctrl-C.
    """
    runs = Path(given.runs)
    server = ReportServer(runs, given.host, given.port)
    with server:
        print(f"{server.url} serves {runs}, for reading alone; Ctrl-C ends it", flush=True)
        if not (runs / INDEX).is_file():
            warn(f"there is no {runs / INDEX} yet; `inv report.index` writes it")
        server.serve_forever(poll_interval=0.2)
    return ExitCode.PASS
