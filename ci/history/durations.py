"""Read how long past nights took."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

# So many nights of a case and a version are enough for their median; older ones are of other sizes.
NIGHTS = 20


def durations(connection: sqlite3.Connection) -> Mapping[tuple[str, str], Sequence[float]]:
    """Return (case, version of vLLM) → seconds of its last nights, the newest first.

    Only nights that were judged, and that nothing ended early, count.

    Args:
        connection: the database.
    """
    rows = connection.execute(
        "SELECT case_name, vllm, started_at, ended_at FROM runs "
        "WHERE outcome IN ('pass', 'fail') AND cause = '' AND ended_at <> '' "
        "ORDER BY started_at DESC"
    )
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for case, vllm, started, ended in rows:
        times = found[case, vllm]
        seconds = (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()
        if len(times) < NIGHTS and seconds > 0:
            times.append(seconds)
    return found
