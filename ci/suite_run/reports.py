"""Write the reports of a suite's run: Markdown, JUnit and JSON. Reads its nights' records."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from ci.record.cause import message_of
from ci.report.reports import append_step_summary
from ci.suite_run.junit import junit_of
from ci.suite_run.markdown import markdown_of
from ci.suite_run.summary import summary_of, values_of

if TYPE_CHECKING:
    from pathlib import Path

    from ci.suite.progress import SuiteRun
    from ci.suite_run.folder import SuiteFolder


def write_suite_reports(folder: SuiteFolder, run: SuiteRun, runs: Path) -> str:
    """Write the reports, and append to $GITHUB_STEP_SUMMARY if set; return the summary as text.

    Args:
        folder: of the suite's run.
        run: the state of it.
        runs: the folder of all runs, with the records of its nights.
    """
    report = markdown_of(run)
    folder.write("report.md", report)
    folder.write("junit.xml", junit_of(run, runs))
    folder.write(
        "suite-report.json", json.dumps(values_of(run), indent=2, ensure_ascii=False) + "\n"
    )
    try:
        append_step_summary(report, os.environ)
    except OSError as error:
        folder.warn(f"cannot append to $GITHUB_STEP_SUMMARY: {message_of(error)}")
    return summary_of(run)
