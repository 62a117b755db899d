"""Write every report of a run that has ended; touches the run's folder and the step summary."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ci.record.cause import message_of
from ci.report import junit, markdown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ci.record.disk import Folder


def write_reports(folder: Folder, run: Mapping[str, Any], warn: Callable[[str], None]) -> None:
    """Write report.md, junit.xml and report.json, and append to $GITHUB_STEP_SUMMARY if set.

    Args:
        folder: the run's.
        run: run.json's content.
        warn: told of a report that could not be made; none is raised for.
    """
    for name, render in (("report.md", markdown.render), ("junit.xml", junit.render)):
        try:
            text = render(run)
            folder.write(name, text)
            if name == "report.md":
                markdown.append_step_summary(text, os.environ)
        except Exception as error:  # noqa: BLE001 - a report that fails must not hide the cause
            warn(f"cannot make {name}: {message_of(error)}; see run.json instead")
    folder.write("report.json", json.dumps(run, indent=2, ensure_ascii=False) + "\n")
