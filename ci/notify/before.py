"""Find the night before of the same case. Reads the history and the folders of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.database import FILE as DATABASE
from ci.history.database import opened
from ci.history.folders import refresh
from ci.history.hosts import vllm_of
from ci.history.listing import nights
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from ci.history.listing import PastNight
    from ci.record.model import Run
    from ci.record.stored import Stored

# A suite may run a case with several versions of vLLM each night: the one of the same version
# counts, if it is one of the last nights.
LOOK_BACK = 7


def night_before(
    folder: Path, run: Run, same_evening: Collection[str], note: Callable[[str], None]
) -> Stored | None:
    """Return the night before, with its record; None if there is none that can be read.

    Args:
        folder: the run's folder, in the folder of all runs.
        run: the record.
        same_evening: ids of runs that are not before it: those of the same suite.
        note: called with what could not be read.
    """
    runs = folder.parent
    if not (runs / DATABASE).exists():
        return None
    with opened(runs) as connection:
        refresh(runs, connection, note)
        listed = nights(connection, case=run.case)
    earlier = [
        night
        for night in listed
        if night.started_at < run.started_at
        and night.outcome != "running"
        and night.run not in {run.id, *same_evening}
    ]
    for night in _likest(earlier, vllm_of(run)):
        try:
            return read_run(runs / night.folder)
        except UserError as error:
            note(str(error))
    return None


def _likest(earlier: list[PastNight], vllm: str) -> list[PastNight]:
    """Order nights: of the last ones those of the same version first, then the newest."""
    last = earlier[:LOOK_BACK]
    # A night that ended early may not know its version.
    same = [night for night in last if not vllm or night.vllm in {"", vllm}]
    return [*same, *(night for night in last if night not in same)]
