"""Record that servers that a run kept have been ended. Touches the run's folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.record.disk import Folder
from ci.record.fields import utc_now
from ci.record.stored import FILE, as_run, as_text, read_run
from ci.report.reports import render_reports

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def record_end_of_kept(path: Path, warn: Callable[[str], None]) -> None:
    """Set in a run's record that its kept servers have ended, and write its reports again.

    Args:
        path: the run's folder; nothing is changed if it has no record or kept no servers.
        warn: called with a message for each file that could not be read or written.
    """
    if not (path / FILE).exists():
        return
    try:
        stored = read_run(path)
    except UserError as error:
        warn(f"its end is not recorded: {error}")
        return
    if stored.missing or not stored.run.kept_s:
        return
    now = utc_now()
    # They may have ended by themselves, earlier.
    until = min(stored.run.kept_until or now, now)
    ended = as_run(stored.run.model_dump(mode="json") | {"kept_s": 0, "kept_until": until})
    folder = Folder(path, warn)
    for name, text in {FILE: as_text(ended), **render_reports(path, ended, warn)}.items():
        folder.write(name, text)
