"""Start the record of a run: its id, its folder and its first fields."""

from __future__ import annotations

import re
import secrets
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from ci.paths import absolute
from ci.record.controller import project_commit, versions
from ci.record.disk import Folder, make_folder
from ci.record.fields import first_fields
from ci.record.record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci.record.record import WriteReports
    from ci.record.view import View

MAX_NAME_CHARS = 60


def start(  # noqa: PLR0913 - each is a plain value of the command line
    runs: Path,
    view: View,
    write_reports: WriteReports,
    *,
    case: str,
    config: str,
    argv: Sequence[str],
    run: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Record:
    """Make `runs/<run id>/` with a run.json whose outcome is `running`.

    Args:
        runs: the folder of all runs; made if missing.
        view: shows steps and failed writes.
        write_reports: called when the record is complete.
        case: the case's name.
        config: path of the case file.
        argv: the command line, which runs the night again.
        run: its id; empty to make one.
        clock: returns monotonic seconds.

    Raises:
        InfrastructureError: the disk is full.
        UserError: the folder cannot be made.
    """
    path = make_folder(absolute(runs) / (run or run_id(case, datetime.now(UTC))))
    fields = first_fields(path.name, case, config, argv)
    record = Record(Folder(path, view.warn), fields, view, write_reports, clock)
    record.update()
    record.update(versions=versions(), git_commit=project_commit())
    return record


def run_id(case: str, now: datetime) -> str:
    """Name a run: `YYYYMMDD-HHMMSS-<case name>-<4 hex>`, in UTC."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", case)[:MAX_NAME_CHARS]
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{name}-{secrets.token_hex(2)}"
