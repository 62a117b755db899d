"""Record how long the servers took to start, from the logs that came home. Reads only those."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from ci.case.known_metrics import STARTUP
from ci.record.model import Startup
from ci.tools.model import Measurement, Result
from ci.vllm.startup_phases import UNIT, slowest_start, startup_phases

if TYPE_CHECKING:
    from pathlib import Path

    from ci.record.record import Record

# A start has some hundred lines, one with progress bars of many shards thousands.
MAX_LINES = 100_000


def note_startup(record: Record) -> Result | None:
    """Record the phases of every server whose log has some; a log that cannot be read has none.

    Returns:
        The figures of the start, as a result; None if there are none.
    """
    found = startups(record.path / "logs")
    figures = slowest_start(each.seconds for each in found)
    measured = tuple(
        Measurement(STARTUP, metric, seconds, UNIT, len(found), None, "the servers' logs")
        for metric, seconds in figures.items()
    )
    record.update(startup=found, startup_figures=measured)
    return Result(measurements=measured) if measured else None


def startups(logs: Path) -> tuple[Startup, ...]:
    """Read the start of every process.

    Args:
        logs: the folder with `<host>/<process>.log`.
    """
    paths = sorted(
        path for path in logs.glob("*/*.log") if path.is_file() and not path.is_symlink()
    )
    read = ((path, _phases(path)) for path in paths)
    return tuple(
        Startup(process=path.stem.partition(".rotated-")[0], host=path.parent.name, seconds=seconds)
        for path, seconds in read
        if seconds
    )


def _phases(path: Path) -> dict[str, float]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return startup_phases(islice(file, MAX_LINES))
    except OSError:
        return {}
