"""Bring the page of all nights up to date at the end of a night, if there is one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci.paths import BASELINES, SUITES
from ci.record.cause import message_of
from ci.report.pages.names import INDEX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def refresh_index(runs: Path, note: Callable[[str], None]) -> None:
    """Write the page again, if an operator has made one; a failure is a note, and changes nothing.

    Args:
        runs: the folder of all runs.
        note: called with a message if it could not be written.
    """
    try:
        if not (runs / INDEX).is_file():
            return
        # The libraries that render take 0.1 s to import: only where there is something to render.
        from ci.report.pages.build import build_index  # noqa: PLC0415
        from ci.report.pages.read_standings import hosts_apart, muted_in  # noqa: PLC0415

        muted = muted_in(SUITES, datetime.now(UTC).date(), lambda _: None)
        standings = (*muted, *hosts_apart(lambda _: None))
        built = build_index(runs, BASELINES, warn=lambda _: None, standings=standings)
        failures = built.failures
    except Exception as error:  # noqa: BLE001 - the night's outcome stands, whatever fails here
        failures = (message_of(error),)
    for failure in failures[:1]:
        note(f"{runs / INDEX} is not current: {failure}; `inv report.index` writes it again")
