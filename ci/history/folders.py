"""Read the folders of runs into the history's database. Reads the folder of all runs."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.errors import UserError
from ci.history.database import FILE as DATABASE
from ci.history.database import journal_note, opened, transaction
from ci.history.night import night_of
from ci.history.store import put, remove, remove_unused
from ci.record.again import items_in
from ci.record.cause import message_of
from ci.record.controller import liveness
from ci.record.stored import BISECTION, FILE, SUITE, read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ci.history.night import Night
    from ci.record.model import Evaluation, Run
    from ci.tools.model import Item

# The folder beside the runs with the files of `index.html`; it is no run.
PAGES = "index-files"
# Nights that are written in one transaction: others wait for it.
BATCH = 32


@dataclass(frozen=True)
class Skipped:
    """A folder whose run is not in the history.

    Attributes:
        folder: its name.
        stamp: size and time of its run.json; empty if it has none.
        reason: why, in one line.
        runs: it is a run that has not ended, as far as this machine can tell.
    """

    folder: str
    stamp: str
    reason: str
    runs: bool = False


class RunsNow(UserError):  # noqa: N818 - a state, no fault
    """A run has not ended, so it has no outcome yet."""


@dataclass(frozen=True)
class Rebuilt:
    """The outcome of reading all folders.

    Attributes:
        added: number of runs in the database.
        removed: ids of the runs whose folders are gone.
        skipped: the folders whose run is not in the history.
        notes: what the operator should know, e.g. of items that cannot be read.
    """

    added: int
    removed: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    notes: tuple[str, ...]


def remember(folder: Path, note: Callable[[str], None]) -> None:
    """Add a run that has ended to the history; a failure is a note, because it loses nothing.

    Args:
        folder: the run's folder.
        note: called with a message if it could not be added.
    """
    try:
        with opened(folder.parent) as connection:
            skipped = _add(connection, folder.parent, [folder.name], note)
        for each in skipped:
            note(f"not in the history: {each.reason}")
    except Exception as error:  # noqa: BLE001 - the night's outcome stands, whatever fails here
        advice = "`inv history` adds it later"
        note(f"this run is not in {folder.parent / DATABASE}: {message_of(error)}; {advice}")


def refresh(
    runs: Path, connection: sqlite3.Connection, note: Callable[[str], None]
) -> tuple[Skipped, ...]:
    """Add the runs that are not in the database yet, e.g. copied ones, or of an abandoned night.

    Args:
        runs: the folder of all runs.
        connection: its database.
        note: called with a message for a file of items that cannot be read.

    Returns:
        The new folders without a run that can be read; each is returned once.
    """
    known = {folder for (folder,) in connection.execute("SELECT folder FROM runs")}
    stamps = dict(connection.execute("SELECT folder, stamp FROM skipped"))
    wanted = [
        folder
        for folder in _folders(runs)
        if folder not in known and stamps.get(folder) != _stamp(runs / folder)
    ]
    return tuple(_add(connection, runs, wanted, note))


def rebuild(runs: Path, connection: sqlite3.Connection) -> Rebuilt:
    """Read all folders again, so that the database has what they have, and nothing else.

    Nights that end meanwhile are added as usual.

    Args:
        runs: the folder of all runs.
        connection: its database.
    """
    notes = [message for message in [journal_note(runs, connection)] if message]
    with transaction(connection):
        connection.execute("DELETE FROM skipped")
    skipped = _add(connection, runs, _folders(runs), notes.append)
    listed = connection.execute("SELECT id, folder FROM runs").fetchall()
    gone = [(run, folder) for run, folder in listed if not (runs / folder / FILE).is_file()]
    with transaction(connection):
        remove(connection, [folder for _, folder in gone])
        remove_unused(connection)
    (added,) = connection.execute("SELECT count(*) FROM runs").fetchone()
    return Rebuilt(added, tuple(run for run, _ in gone), tuple(skipped), tuple(notes))


def _add(
    connection: sqlite3.Connection,
    runs: Path,
    folders: Iterable[str],
    note: Callable[[str], None],
) -> list[Skipped]:
    """Read folders and write their nights; return those that are skipped."""
    skipped: list[Skipped] = []
    batch: list[Night] = []
    for folder in folders:
        stamp = _stamp(runs / folder)
        try:
            batch.append(read_night(runs / folder, note))
        except RunsNow as error:
            skipped.append(Skipped(folder, stamp, message_of(error), runs=True))
        except UserError as error:
            if not (runs / folder / BISECTION).is_file():
                skipped.append(Skipped(folder, stamp, message_of(error)))
        if len(batch) >= BATCH:
            skipped += _put_all(connection, runs, batch)
            batch = []
    skipped += _put_all(connection, runs, batch)
    # A run that runs is not kept as skipped: its controller may die without another write.
    rows = [(each.folder, each.stamp, each.reason) for each in skipped if not each.runs]
    if rows:  # where nothing is new, nothing is written: a reader needs no permission to write
        with transaction(connection):
            connection.executemany("INSERT OR REPLACE INTO skipped VALUES (?, ?, ?)", rows)
    return skipped


def _put_all(connection: sqlite3.Connection, runs: Path, batch: Sequence[Night]) -> list[Skipped]:
    """Write nights in one transaction; return those that are copies, or cannot be written."""
    if not batch:
        return []
    with transaction(connection):
        reasons = {
            night.folder: _copy(connection, runs, night) or _put(connection, night)
            for night in batch
        }
    return [
        Skipped(folder, _stamp(runs / folder), reason)
        for folder, reason in reasons.items()
        if reason
    ]


def _put(connection: sqlite3.Connection, night: Night) -> str:
    """Write a night; return why it cannot be written, empty if it is."""
    connection.execute("SAVEPOINT night")
    try:
        put(connection, night)
    except (OverflowError, UnicodeError) as error:  # numbers and texts that no night writes
        connection.execute("ROLLBACK TO night")
        return f"{night.folder}/{FILE}: cannot be stored: {error}"
    finally:
        connection.execute("RELEASE night")
    return ""


def _copy(connection: sqlite3.Connection, runs: Path, night: Night) -> str:
    """Return why a folder is the copy of another one; empty if it is not.

    Of several folders with the same id, the one with this name is the original.
    """
    query = "SELECT folder FROM runs WHERE id = ?"
    row = connection.execute(query, (night.run,)).fetchone()
    if row is None or row[0] == night.folder or night.folder == night.run:
        return ""
    if not (runs / str(row[0]) / FILE).is_file():
        return ""
    return f"{runs / night.folder}: is a copy of run {night.run}, which counts once"


def read_night(folder: Path, note: Callable[[str], None]) -> Night:
    """Read the record of a run, and its items as far as they can be read.

    Args:
        folder: the run's folder.
        note: called with a message for a file of items that cannot be read.

    Raises:
        RunsNow: the run has not ended, as far as this machine can tell.
        UserError: the folder has no record that can be read, or its controller has died.
    """
    run = read_run(folder).run
    if run.outcome == "running":
        kind = UserError if liveness(run) == "abandoned" else RunsNow
        raise kind(f"{folder}: {state_of(run)}")
    return night_of(run, _items(folder, run.evaluations, note), folder.name)


def state_of(run: Run) -> str:
    """Say of a run without an outcome whether it runs, and the next step.

    Args:
        run: its record; its controller is looked for if it ran on this machine.
    """
    match liveness(run):
        case "running":
            return "runs now; `inv status` shows it"
        case "abandoned":
            return f"its controller has died; `inv down --run {run.id}` completes its record"
        case _:
            host = one_line(run.controller.host)
            return f"has not ended, and its controller is on {host}; `inv status` there shows it"


def unended(runs: Path, connection: sqlite3.Connection) -> tuple[Run, ...]:
    """Return the nights that have no outcome yet, the newest first.

    Args:
        runs: the folder of all runs.
        connection: its database, which has no such night.
    """
    known = {folder for (folder,) in connection.execute("SELECT folder FROM runs")}
    found = []
    for folder in _folders(runs):
        if folder not in known:
            with suppress(UserError):
                found.append(read_run(runs / folder).run)
    running = [run for run in found if run.outcome == "running" and run.purpose == "night"]
    return tuple(sorted(running, key=lambda run: (run.started_at, run.id), reverse=True))


def _items(
    folder: Path, evaluations: Iterable[Evaluation], note: Callable[[str], None]
) -> dict[str, tuple[Item, ...] | None]:
    items: dict[str, tuple[Item, ...] | None] = {}
    for name in (each.items for each in evaluations if each.items):
        try:
            items[name] = items_in(folder, name)
        except UserError as error:
            note(f"without its items: {message_of(error)}")
    return items


def _folders(runs: Path) -> list[str]:
    with os.scandir(runs) as entries:
        names = sorted(entry.name for entry in entries if entry.is_dir() and entry.name != PAGES)
    # The nights of a suite have folders of their own.
    return [name for name in names if not (runs / name / SUITE).is_file()]


def _stamp(folder: Path) -> str:
    """Return size and time of a run's record, which change with it; empty if there is none."""
    try:
        found = (folder / FILE).stat()
    except OSError:
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"
