"""Test the history's database: schema, journal, errors, several writers."""

from __future__ import annotations

import multiprocessing
import sqlite3
from contextlib import suppress

import pytest

from ci.errors import InfrastructureError, UserError
from ci.history import database
from ci.history.database import (
    FILE,
    MIGRATIONS,
    VERSION,
    journal_note,
    journal_of,
    opened,
    statements_of,
    transaction,
    version_of,
)
from ci.history.filesystem import network_filesystem, type_of

TABLES = {"checks", "evaluations", "figures", "items", "questions", "runs", "settings", "skipped"}
NOTES = (
    *MIGRATIONS,
    "CREATE TABLE notes (run INTEGER, text TEXT);\nINSERT INTO notes VALUES (1, 'a;\nb');",
)


def tables(connection):
    query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return {name for (name,) in connection.execute(query)}


def test_a_new_database_has_the_newest_schema_and_a_write_ahead_log(tmp_path):
    with opened(tmp_path) as connection:
        assert tables(connection) == TABLES
        assert version_of(connection) == VERSION
        assert journal_of(connection) == "wal"
        assert journal_note(tmp_path, connection) == ""
    with opened(tmp_path) as connection:
        assert tables(connection) == TABLES
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_an_older_schema_is_brought_up_to_date_and_keeps_its_rows(tmp_path):
    with opened(tmp_path) as connection:
        connection.execute("INSERT INTO skipped VALUES ('x', '', 'y')")
    with opened(tmp_path, NOTES) as connection:
        assert version_of(connection) == VERSION + 1
        assert connection.execute("SELECT text FROM notes").fetchall() == [("a;\nb",)]
        assert connection.execute("SELECT folder FROM skipped").fetchall() == [("x",)]


def test_a_migration_that_fails_changes_nothing(tmp_path):
    with opened(tmp_path):
        pass
    wrong = (*MIGRATIONS, "CREATE TABLE notes (text TEXT);\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(UserError, match="no such table: nowhere"), opened(tmp_path, wrong):
        pass
    with opened(tmp_path) as connection:
        assert (version_of(connection), tables(connection)) == (VERSION, TABLES)


def test_a_newer_schema_is_refused_with_what_to_do(tmp_path):
    with opened(tmp_path, NOTES):
        pass
    with pytest.raises(UserError) as refused, opened(tmp_path):
        pass
    assert str(refused.value) == (
        f"{tmp_path / FILE}: has schema version {VERSION + 1}, and this Lamplighter knows up to "
        f"{VERSION}; use the version that wrote it or a newer one, or remove the file: `inv "
        "history.rebuild` makes it again from the folders of the runs"
    )


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: path.write_bytes(b"not a database" * 100), "`inv history.rebuild` makes it"),
        (lambda path: path.mkdir(), "check the path and its permissions"),
    ],
)
def test_a_file_that_is_no_database_is_refused_with_what_to_do(tmp_path, prepare, message):
    prepare(tmp_path / FILE)
    with pytest.raises(UserError, match=message) as refused, opened(tmp_path):
        pass
    assert str(refused.value).startswith(str(tmp_path / FILE))


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    missing = opened(tmp_path / "no")
    with pytest.raises(UserError, match="there is no such folder; name it with --runs"), missing:
        pass


def test_a_database_that_another_holds_for_too_long_is_no_mistake_of_the_operator(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(database, "BUSY_S", 0.0)
    with opened(tmp_path) as held, transaction(held):
        locked = pytest.raises(InfrastructureError, match="database is locked")
        with locked, opened(tmp_path) as other, transaction(other):
            pass


def test_a_transaction_that_fails_leaves_nothing(tmp_path):
    with opened(tmp_path) as connection:
        row = "INSERT INTO skipped VALUES ('x', '', 'y')"
        with suppress(KeyboardInterrupt), transaction(connection):
            connection.execute(row)
            raise KeyboardInterrupt
        assert connection.execute("SELECT count(*) FROM skipped").fetchone() == (0,)


def test_over_a_network_the_journal_is_another_one_and_the_reason_is_given(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "network_filesystem", lambda _: "nfs4")
    with opened(tmp_path) as connection:
        assert journal_of(connection) == "delete"
        note = journal_note(tmp_path, connection)
    assert note == (
        f"{tmp_path} is on nfs4, where write-ahead logging does not work; its journal is `delete`, "
        "so readers wait while a night is added"
    )


def test_where_sqlite_cannot_log_ahead_the_journal_stays_as_it_is(tmp_path, monkeypatch):
    # Like a file system without shared memory: a database in memory has no log either.
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda _, **options: connect(":memory:", **options))
    with opened(tmp_path) as connection:
        assert tables(connection) == TABLES
        assert "SQLite cannot use write-ahead logging in" in journal_note(tmp_path, connection)


MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
30 22 0:26 / /data rw - nfs4 nas:/data rw
31 22 0:27 / /data/fast rw - xfs /dev/vdb rw
32 22 0:28 / /mnt/two\040words rw - fuse.sshfs a:/ rw
33 22 0:29 / /over rw - ext4 /dev/vdc rw
34 33 0:30 / /over rw - cifs //a/b rw
broken line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/home/op/runs", "ext4"),
        ("/data", "nfs4"),
        ("/data/runs", "nfs4"),
        ("/database", "ext4"),
        ("/data/fast/runs", "xfs"),
        ("/mnt/two words/runs", "fuse.sshfs"),
        ("/over/runs", "cifs"),
    ],
)
def test_the_file_system_of_a_path(path, kind, tmp_path, monkeypatch):
    assert type_of(path, MOUNTS) == kind
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr("ci.history.filesystem.MOUNTS", tmp_path / "mounts")
    monkeypatch.setattr("os.path.realpath", str)
    assert network_filesystem(path) == (kind if kind not in {"ext4", "xfs"} else "")


def test_without_a_list_of_mounts_a_file_system_counts_as_local(tmp_path, monkeypatch):
    monkeypatch.setattr("ci.history.filesystem.MOUNTS", tmp_path / "none")
    assert (network_filesystem(tmp_path), type_of("/a", "")) == ("", "")


def test_a_script_is_split_into_its_statements():
    script = "-- one;\nCREATE TABLE a (b);\nINSERT INTO a\nVALUES ('x;\ny');\n"
    assert list(statements_of(script)) == [
        "-- one;\nCREATE TABLE a (b);\n",
        "INSERT INTO a\nVALUES ('x;\ny');\n",
    ]


def _write(folder, start, writer, network):
    if network:
        database.network_filesystem = lambda _: "nfs4"
    start.wait()
    for number in range(20):
        with opened(folder) as connection, transaction(connection):
            row = (f"{writer}-{number}",)
            connection.execute("INSERT INTO skipped VALUES (?, '', '')", row)


@pytest.mark.parametrize("network", [False, True])
def test_several_processes_that_make_and_write_it_at_once_lose_nothing(tmp_path, network):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    writers = [
        context.Process(target=_write, args=(tmp_path, start, name, network)) for name in "abcd"
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0, 0]
    with opened(tmp_path) as connection:
        assert connection.execute("SELECT count(*) FROM skipped").fetchone() == (80,)
