"""Write the reports of a run. Touches the run's folder and the step summary."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ci.record.cause import message_of
from ci.report import junit, markdown

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.record.disk import Folder
    from ci.record.model import Run

RENDERERS = {"report.md": markdown.render, "junit.xml": junit.render}


def write_reports(folder: Folder, run: Run, warn: Callable[[str], None]) -> None:
    """Write the reports of a run that has ended, and append to $GITHUB_STEP_SUMMARY if set.

    Args:
        folder: the run's folder.
        run: the run's record.
        warn: called with a message for a report that could not be reports; nothing is raised.
    """
    rendered = render_reports(run, warn)
    for name, text in rendered.items():
        folder.write(name, text)
    try:
        if "report.md" in rendered:
            markdown.append_step_summary(rendered["report.md"], os.environ)
    except OSError as error:
        warn(f"cannot append to $GITHUB_STEP_SUMMARY: {message_of(error)}")


def render_reports(run: Run, warn: Callable[[str], None]) -> dict[str, str]:
    """Make report.md and junit.xml from a record.

    Args:
        run: the run's record.
        warn: called with a message for a report that could not be reports; nothing is raised.

    Returns:
        File name → text of each report that could be reports.
    """
    reports = {}
    for name, render in RENDERERS.items():
        try:
            reports[name] = render(run)
        except Exception as error:  # noqa: BLE001 - a report that fails must not hide the cause
            warn(f"cannot make {name}: {message_of(error)}; see run.json instead")
    return reports
