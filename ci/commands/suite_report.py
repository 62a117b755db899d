"""`inv suite.report` and `inv suite.status`: what a run of a suite came to, and how far it is."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.streams import for_readers
from ci.errors import ExitCode
from ci.report.table import as_text, fold, width_of
from ci.suite_run.folder import SuiteFolder, is_running, named_suite_run, read_suite
from ci.suite_run.process import NightProcess
from ci.suite_run.reports import write_suite_reports
from ci.suite_run.rows import HEADINGS, counts, rows_of
from ci.suite_run.summary import headline_of, job_text

if TYPE_CHECKING:
    from ci.commands.suite_flags import SuiteReport, SuiteStatus
    from ci.suite.progress import SuiteRun


def report(given: SuiteReport) -> ExitCode:
    """Write the reports of a run of a suite again, from its suite.json, and print the summary.

    Raises:
        UserError: the run does not exist, or it cannot be read.
    """
    path = named_suite_run(Path(given.runs), given.run)
    warnings: list[str] = []
    folder = SuiteFolder(path, warnings.append)
    text = for_readers(write_suite_reports(folder, read_suite(path), path.parent))
    sys.stdout.write(fold(text, width_of(sys.stdout)))
    for warning in warnings:
        print(warning, file=sys.stderr)
    for name in ("report.md", "junit.xml", "suite-report.json"):
        print(f"report {path / name}")
    return ExitCode.UNKNOWN if warnings else ExitCode.PASS


def status(given: SuiteStatus) -> ExitCode:
    """Print how far a run of a suite is.

    Raises:
        UserError: the run does not exist, or it cannot be read.
    """
    path = named_suite_run(Path(given.runs), given.run)
    run, running = read_suite(path), is_running(path)
    if given.json:
        values = {**run.model_dump(mode="json"), "controller_runs": running}
        sys.stdout.write(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
        return ExitCode.PASS
    width = width_of(sys.stdout)
    print(fold(f"{run.id}: {headline_of(run)}", width))
    rows = rows_of(run, None, _doing(run, path), datetime.now(UTC))
    sys.stdout.write(as_text(HEADINGS, rows, width))
    print(fold(counts(run), width))
    if text := job_text(run):
        print(fold(text, width))
    for each in run.quarantined:
        text = f"quarantine {each.host}, since {each.since} by {each.by}: {each.reason}"
        print(fold(text, width))
    if run.outcome == "running" and not running:
        text = f"its controller has ended; go on with `inv suite.run --resume {run.id}`"
        print(fold(text, width))
    return ExitCode.PASS


def _doing(run: SuiteRun, path: Path) -> dict[str, str]:
    """Return what each night that runs does, by its output."""
    return {
        night.name: NightProcess(path / "processes" / night.last.run).doing
        for night in run.nights
        if night.state == "running" and night.last
    }
