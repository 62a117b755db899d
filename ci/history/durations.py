"""Read how long past nights took, and show it when the next one begins."""

from __future__ import annotations

import shlex
from collections import defaultdict
from contextlib import suppress
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING

from ci.errors import LamplighterError
from ci.history.database import FILE, opened

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ci.record.view import View

# So many nights of a case and a version are enough for their median; older ones are of other sizes.
NIGHTS = 20


def usual_s(connection: sqlite3.Connection, case: str) -> tuple[float, int]:
    """Return the median of the seconds that the last nights of a case took, and their number.

    Args:
        connection: the database.
        case: name of the case; nights of any version count, the newest first.
    """
    rows = connection.execute(
        "SELECT started_at, ended_at FROM runs WHERE case_name = ? AND purpose = 'night' "
        "AND outcome IN ('pass', 'fail') AND cause = '' AND ended_at <> '' "
        "ORDER BY started_at DESC LIMIT ?",
        (case, NIGHTS),
    )
    times = [seconds for started, ended in rows if (seconds := _between_s(started, ended)) > 0]
    return (median(times), len(times)) if times else (0.0, 0)


def show_expected(runs: Path, case: str, view: View) -> None:
    """Show how long a night of a case will probably take; nothing if no night tells.

    Never raises: whatever is wrong with the history, the night begins.

    Args:
        runs: the folder of all runs.
        case: name of the case.
        view: shows it.
    """
    with suppress(Exception):
        if (runs / FILE).exists():
            with opened(runs) as connection:
                seconds, nights = usual_s(connection, case)
            if nights:
                view.expected(seconds, nights)


def _between_s(started: str, ended: str) -> float:
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(started)).total_seconds()


def durations(
    connection: sqlite3.Connection, run_type: str = ""
) -> Mapping[tuple[str, str], Sequence[float]]:
    """Return (case, version of vLLM) → seconds of its last nights, the newest first.

    Only nights that were judged, and that nothing ended early, count; not what belongs to a night
    or to a bisection, which measures less. Of a case that has nights of the run type only these
    count: another one has other parts and sizes.

    Args:
        connection: the database.
        run_type: of the nights to come; empty for all.
    """
    rows = connection.execute(
        "SELECT case_name, vllm, started_at, ended_at, command FROM runs "
        "WHERE outcome IN ('pass', 'fail') AND cause = '' AND ended_at <> '' "
        "AND purpose = 'night' "
        "ORDER BY started_at DESC"
    )
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    alike: dict[tuple[str, str], list[float]] = defaultdict(list)
    flag = f"--run-type {shlex.quote(run_type)} "
    for case, vllm, started, ended, command in rows:
        seconds = _between_s(started, ended)
        groups = (found, alike) if run_type and flag in f"{command} " else (found,)
        for times in (group[case, vllm] for group in groups):
            if len(times) < NIGHTS and seconds > 0:
                times.append(seconds)
    known = {case for case, _ in alike}
    return {**{key: times for key, times in found.items() if key[0] not in known}, **alike}


def past_durations(runs: Path, case: str) -> dict[str, float]:
    """Return benchmark → median seconds of its last evaluations that had no problem.

    Empty without a history: then nothing is known of them.

    Args:
        runs: the folder of all runs.
        case: name of the case.
    """
    if not (runs / FILE).exists():
        return {}
    try:
        with opened(runs) as connection:
            rows = connection.execute(
                "SELECT benchmark, evaluations.started_at, evaluations.ended_at FROM evaluations "
                "JOIN runs ON runs.number = evaluations.run WHERE case_name = ? AND repeat = 0 "
                "AND problems = '[]' AND evaluations.ended_at <> '' "
                "AND evaluations.started_at <> '' ORDER BY runs.started_at DESC",
                (case,),
            ).fetchall()
    except LamplighterError:
        return {}
    found: dict[str, list[float]] = defaultdict(list)
    for benchmark, started, ended in rows:
        if len(found[benchmark]) < NIGHTS:
            found[benchmark].append(_between_s(started, ended))
    return {benchmark: median(times) for benchmark, times in found.items()}
