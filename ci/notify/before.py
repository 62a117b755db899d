"""Find the night before of the same case. Reads the history and the folders of runs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from ci.errors import UserError
from ci.history.database import FILE as DATABASE
from ci.history.database import opened
from ci.history.folders import refresh
from ci.history.hosts import vllm_of
from ci.history.listing import nights
from ci.record.stored import read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from ci.history.listing import PastNight
    from ci.record.model import Run
    from ci.record.stored import Stored

# A suite may run a case with several versions of vLLM each night: the one of the same version
# counts, if it is one of the last nights.
LOOK_BACK = 7


@contextmanager
def history_of(runs: Path, note: Callable[[str], None]) -> Iterator[sqlite3.Connection | None]:
    """Open the history of a folder of runs, with those that are not in it yet; None without one.

    Args:
        runs: the folder of all runs.
        note: called with what could not be read.

    Raises:
        LamplighterError: it cannot be opened.
    """
    if not (runs / DATABASE).exists():
        yield None
        return
    with opened(runs) as connection:
        refresh(runs, connection, note)
        yield connection


def night_before(
    history: sqlite3.Connection | None,
    folder: Path,
    run: Run,
    same_evening: Collection[str],
    note: Callable[[str], None],
) -> Stored | None:
    """Return the night before, with its record; None if there is none that can be read.

    Args:
        history: of the folder of all runs; None if it has none.
        folder: the run's folder.
        run: the record.
        same_evening: ids of runs that are not before it: those of the same suite.
        note: called with what could not be read.
    """
    if history is None:
        return None
    runs = folder.parent
    earlier = [
        night
        for night in nights(history, case=run.case)
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
