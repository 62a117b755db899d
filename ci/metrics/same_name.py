"""Find another case file whose nights have the same name, and so the same group of metrics.

Reads the history.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ci.history.database import FILE as DATABASE
from ci.history.database import opened

if TYPE_CHECKING:
    from ci.record.model import Run

# A case that had no night for longer than that is not run each day beside this one.
WITHIN = timedelta(hours=36)


def other_file(runs: Path, run: Run) -> str:
    """Return the case file of another recent night of the same name; empty if there is none.

    Args:
        runs: the folder of all runs.
        run: the record of the night.

    Raises:
        LamplighterError: the history cannot be read.
    """
    if not (runs / DATABASE).exists():
        return ""
    try:
        since = (datetime.fromisoformat(run.started_at) - WITHIN).isoformat()
    except (ValueError, OverflowError):  # no time of a night
        return ""
    query = (
        "SELECT DISTINCT config FROM runs WHERE purpose = 'night' AND case_name = ? AND id <> ? "
        "AND started_at >= ? ORDER BY started_at DESC"
    )
    with opened(runs) as connection:
        found = [path for (path,) in connection.execute(query, (run.case, run.id, since))]
    own = Path(run.folder, run.config).resolve()
    paths = {path: Path(run.folder, path) for path in found}
    # A file that was moved is not there any more.
    others = (path for path, whole in paths.items() if whole.is_file() and whole.resolve() != own)
    return next(others, "")
