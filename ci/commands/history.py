"""`inv history` and `inv history.rebuild`: the nights of the cases, from runs/history.db."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ci.commands.change_points import change_points_text, change_points_values
from ci.commands.rates_text import DAYS, rates_text, rates_values
from ci.connect.printed import one_line
from ci.documents.counted import counted
from ci.errors import ExitCode, UserError
from ci.history.database import FILE, DamagedHistory, opened, require_whole, set_aside
from ci.history.folders import rebuild, refresh
from ci.history.ledger import load_ledger
from ci.history.listing import last_nights, nights
from ci.history.rates import rates_since
from ci.history.select import case_named
from ci.history.steps import steps_of
from ci.paths import BASELINES
from ci.record.fields import utc
from ci.record.text import figure
from ci.report.table import as_text, fold, width_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence

    from ci.commands.history_flags import History
    from ci.history.folders import Rebuilt
    from ci.history.listing import PastNight

_SHOWN_CHARS = 100


@contextmanager
def up_to_date(runs: Path, *, running: bool = True) -> Iterator[sqlite3.Connection]:
    """Open the history with the runs that are not in it yet; print what is skipped to stderr.

    Args:
        runs: the folder of all runs.
        running: print also which runs are not in it because they run.
    """
    with opened(runs) as connection:
        for skipped in refresh(runs, connection, warn):
            if not skipped.runs:
                warn(f"skipped {skipped.folder}: {skipped.reason}")
            elif running:
                warn(f"not counted yet: {skipped.reason}")
        yield connection


def warn(text: str) -> None:
    """Print a note to stderr, on one line; on a terminal, folded."""
    print(fold(f"note   {one_line(text)}", width_of(sys.stderr)), file=sys.stderr)


def folder_of_baselines(chosen: str) -> Path:
    """Return the folder of the ledgers: the operator's choice, else that of the project."""
    return Path(chosen) if chosen else BASELINES


def history(given: History) -> str:
    """List the nights of a case, or the last night of each case, as text or as JSON.

    Raises:
        UserError: no such case, a wrong number, or the history or a ledger cannot be read.
    """
    if given.nights < 0:
        raise UserError(f"--nights {given.nights}: expected a number of nights, or 0 for all")
    with up_to_date(Path(given.runs)) as connection:
        if not given.case:
            cases = last_nights(connection)
            ledgers = folder_of_baselines(given.baselines)
            rates = rates_since(Path(given.runs), connection, ledgers, _month_ago(), warn)
            if given.json:
                values = [
                    {
                        **asdict(night),
                        "nights": count,
                        "last_30_days": rates_values(rates, night.case),
                    }
                    for night, count in cases
                ]
                return json.dumps(values, indent=2) + "\n"
            return _cases_text(cases) + rates_text(rates, width_of(sys.stdout))
        case = case_named(connection, given.case)
        listed = nights(connection, case=case, limit=given.nights or -1)
        rejected = load_ledger(folder_of_baselines(given.baselines), case).rejected_runs
        steps = steps_of(Path(given.runs), connection, case, rejected, warn)
    if given.json:
        values = [
            {
                **asdict(night),
                "rejected": rejected.get(night.run),
                "change_points": change_points_values(steps, night.run),
            }
            for night in listed
        ]
        return json.dumps(values, indent=2) + "\n"
    shown = {night.run for night in listed}
    return _nights_text(listed, rejected) + change_points_text(steps, shown, width_of(sys.stdout))


def rebuild_all(runs: str) -> ExitCode:
    """Read all folders of runs into the history again, and print what is not in it.

    A damaged database is set aside: the folders have all that it had.

    Raises:
        UserError: the database is of a newer version, or cannot be opened.
    """
    folder = Path(runs)
    try:
        rebuilt = _rebuilt(folder)
    except DamagedHistory as error:
        warn(f"{str(error).partition(';')[0]}; it is now {set_aside(folder)}")
        rebuilt = _rebuilt(folder)
    for skipped in rebuilt.skipped:
        print(one_line(f"skipped {skipped.folder}: {skipped.reason}"))
    for run in rebuilt.removed:
        print(one_line(f"removed {run}: its folder is gone"))
    for note in rebuilt.notes:
        warn(note)
    print(f"{folder / FILE}: {counted(rebuilt.added, 'run')}")
    return ExitCode.PASS


def _rebuilt(folder: Path) -> Rebuilt:
    with opened(folder) as connection:
        require_whole(folder / FILE, connection)
        return rebuild(folder, connection)


def _month_ago() -> str:
    """Return the time from which on nights count for the rates."""
    return utc(datetime.now(UTC) - timedelta(days=DAYS))


def _cases_text(cases: Sequence[tuple[PastNight, int]]) -> str:
    if not cases:
        return "no night yet; `inv nightly --config local.yaml` runs one\n"
    headings = ("case", "nights", "last night", "run", "vLLM", "outcome", "figures")
    rows = [
        (
            *(night.case, str(count), _time(night), night.run, night.vllm or "-", night.outcome),
            _figures(night) or _remark(night, {}),
        )
        for night, count in cases
    ]
    return as_text(headings, rows, width_of(sys.stdout))


def _nights_text(listed: Sequence[PastNight], rejected: Mapping[str, str]) -> str:
    names = dict.fromkeys(
        (each.benchmark, each.metric) for night in listed for each in night.figures
    )
    headings = ("night", "run", "vLLM", "hosts", "outcome", *map(" ".join, names), "remark")
    rows = []
    for night in listed:
        values = {(each.benchmark, each.metric): each for each in night.figures}
        cells = [
            figure(values[name].value, values[name].unit) if name in values else "-"
            for name in names
        ]
        hosts = "+".join(night.hosts) or "-"
        row = (_time(night), night.run, night.vllm or "-", hosts, night.outcome)
        rows.append((*row, *cells, _remark(night, rejected)))
    return as_text(headings, rows, width_of(sys.stdout))


def _time(night: PastNight) -> str:
    return night.started_at[:16].replace("T", " ")


def _figures(night: PastNight) -> str:
    return ", ".join(f"{each.benchmark} {figure(each.value, each.unit)}" for each in night.figures)


def _remark(night: PastNight, rejected: Mapping[str, str]) -> str:
    """Say why the figures of a night do not count; empty if nothing is known against them."""
    if night.run in rejected:
        return f"rejected: {rejected[night.run]}"
    remark = night.cause or night.problem
    return remark if len(remark) <= _SHOWN_CHARS else f"{remark[:_SHOWN_CHARS]}…"
