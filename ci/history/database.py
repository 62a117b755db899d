"""Open the history's database: its journal, its schema, its errors and its transactions.

Several controllers may use it at once: each waits for the others, and no transaction is long.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from ci.errors import InfrastructureError, UserError
from ci.history.filesystem import network_filesystem
from ci.history.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE = "history.db"
VERSION = len(MIGRATIONS)
# How long a controller waits for the transactions of the others; each takes milliseconds.
BUSY_S = 60.0
POLL_S = 0.01
_MAKE_AGAIN = "`inv history.rebuild` makes it again from the folders of the runs"
# Of SQLite's error codes: those of the machine, which the operator may repair and try again.
_MACHINE = {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_PROTOCOL"}


class DamagedHistory(UserError):  # noqa: N818 - named after the state
    """The file is no database of the history, or is damaged."""


@contextmanager
def opened(runs: Path, migrations: Sequence[str] = MIGRATIONS) -> Iterator[sqlite3.Connection]:
    """Open the database of a folder of runs; make it, or bring its schema up to date, if needed.

    Args:
        runs: the folder of all runs.
        migrations: the scripts of the schema; their number is its version.

    Raises:
        DamagedHistory: it is damaged, or no database.
        UserError: it is of a newer version, or it cannot be opened.
        InfrastructureError: the disk is full or fails, or others hold the database for too long.
    """
    path = runs / FILE
    with errors_of(path):
        if not runs.is_dir():
            raise UserError(f"{runs}: there is no such folder; name it with --runs")
        connection = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA foreign_keys = ON")
            _refuse_newer(path, connection, len(migrations))
            _set_journal(connection, journal_for(path)[0])
            _migrate(path, connection, migrations)
            yield connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Do all of the block or nothing; wait for the transactions of others first."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def journal_for(path: Path) -> tuple[str, str]:
    """Choose how the database keeps its journal, and say why if it is not the usual way.

    Write-ahead logging lets readers read while another writes, but needs memory that all
    processes share: https://www.sqlite.org/wal.html, "WAL does not work over a network
    filesystem". A rollback journal needs locks only.

    Returns:
        The mode, and why it is not `wal`; empty if it is.
    """
    shared = network_filesystem(path.parent)
    if shared:
        return "delete", f"{path.parent} is on {shared}, where write-ahead logging does not work"
    return "wal", ""


def journal_note(runs: Path, connection: sqlite3.Connection) -> str:
    """Say why the database has no write-ahead log; empty if it has one."""
    mode, reason = journal_of(connection), journal_for(runs / FILE)[1]
    if mode == "wal":
        return ""
    reason = reason or f"SQLite cannot use write-ahead logging in {runs}"
    return f"{reason}; its journal is `{mode}`, so readers wait while a night is added"


def journal_of(connection: sqlite3.Connection) -> str:
    """Return the way in which the database keeps its journal: `wal`, `delete`."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode)


def require_whole(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a database whose pages or tables do not fit together.

    Raises:
        DamagedHistory: with the first thing that SQLite finds.
    """
    with errors_of(path):
        (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise DamagedHistory(f"{path}: {found}; {_MAKE_AGAIN}, and keeps the damaged file")


def set_aside(runs: Path) -> Path:
    """Move a damaged database out of the way, with its journals; return its new path.

    Args:
        runs: the folder of all runs.

    Raises:
        UserError: it cannot be moved.
    """
    path = runs / FILE
    names = (path.with_name(f"{FILE}.damaged-{number}") for number in itertools.count(1))
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        for ending in ("-wal", "-shm", "-journal", ""):
            journal = path.with_name(f"{FILE}{ending}")
            if os.path.lexists(journal):
                journal.rename(aside.with_name(f"{aside.name}{ending}"))
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{path}: cannot be moved to {aside}: {reason}; move it") from None
    return aside


@contextmanager
def errors_of(path: Path) -> Iterator[None]:
    """Replace SQLite's errors by those of an operator or of the machine.

    Args:
        path: of the database, for the messages.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")
        if any(code.startswith(each) for each in _MACHINE):
            raise InfrastructureError(f"{path}: {error}; see the disk, and try again") from error
        if code in {"SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH"} or (
            code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
        ):
            raise UserError(f"{path}: {error}; check the path and its permissions") from error
        raise DamagedHistory(
            f"{path}: {error}; {_MAKE_AGAIN}, and keeps the damaged file"
        ) from error


def _refuse_newer(path: Path, connection: sqlite3.Connection, known: int) -> None:
    version = version_of(connection)
    if version > known:
        raise UserError(
            f"{path}: has schema version {version}, and this Lamplighter knows up to {known}; use "
            f"the version that wrote it or a newer one, or remove the file: {_MAKE_AGAIN}"
        )


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the schema; 0 for a new database."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _set_journal(connection: sqlite3.Connection, mode: str) -> None:
    """Set the journal's mode, which the file keeps; leave it if SQLite cannot change it.

    SQLite does not wait for others by itself when it changes the mode.
    """
    deadline_s = time.monotonic() + BUSY_S
    while journal_of(connection) != mode:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                return
            if time.monotonic() > deadline_s:
                raise
            time.sleep(POLL_S)
        else:
            return


def _migrate(path: Path, connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    """Bring the schema to the newest version; another controller may do so at the same time."""
    if version_of(connection) == len(migrations):
        return
    with transaction(connection):
        _refuse_newer(path, connection, len(migrations))
        for script in migrations[version_of(connection) :]:
            for statement in statements_of(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(migrations)}")


def statements_of(script: str) -> Iterator[str]:
    """Split a script into statements: `executescript` would end the transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
