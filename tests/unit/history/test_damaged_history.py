"""Test that a damaged history is set aside and made again, and what is no damage is left."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from stored_runs import evaluation, run_of, stored

from ci.commands.history import rebuild_all
from ci.errors import ExitCode, UserError
from ci.history.database import FILE, VERSION, DamagedHistory, opened, set_aside
from ci.history.listing import nights

NIGHTS = 25


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    for night in range(NIGHTS):
        stored(folder, run_of(night, evaluation(night)))
    rebuild_all(str(folder))
    return folder


def overwritten(path):
    """Put zeros into all pages but the first, as a disk that lost them."""
    data = path.read_bytes()
    path.write_bytes(data[:4096] + bytes(len(data) - 4096))


def one_page_lost(path):
    """Put other bytes into one page of a table: the rest can be read."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 4096 // 2 * 4096
    data[middle : middle + 4096] = b"\xff" * 4096
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[: 3 * 4096])


def without_a_table(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE evaluations")
        connection.commit()


HARMS = {
    "a text": lambda path: path.write_text("not a database" * 100),
    "overwritten": overwritten,
    "one page lost": one_page_lost,
    "cut": cut,
    "without a table": without_a_table,
}


def ids(runs):
    with opened(runs) as connection:
        return {night.run for night in nights(connection)}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_history_is_set_aside_and_made_again(runs, harm, capsys):
    before = ids(runs)
    HARMS[harm](runs / FILE)
    damaged = (runs / FILE).read_bytes()
    capsys.readouterr()
    assert rebuild_all(str(runs)) == ExitCode.PASS
    printed = capsys.readouterr()
    assert printed.out == f"{runs / FILE}: {NIGHTS} runs\n"
    assert printed.err.startswith(f"note   {runs / FILE}: ")
    assert printed.err.endswith(f"; it is now {runs / FILE}.damaged-1\n")
    assert (runs / f"{FILE}.damaged-1").read_bytes()[:4096] == damaged[:4096]
    assert ids(runs) == before
    assert len(before) == NIGHTS


def test_each_damaged_history_is_kept(runs):
    for number in (1, 2):
        (runs / FILE).write_text(str(number) * 1000)
        rebuild_all(str(runs))
        assert (runs / f"{FILE}.damaged-{number}").read_text() == str(number) * 1000
    assert len(ids(runs)) == NIGHTS


def test_the_journals_go_with_their_database(tmp_path):
    endings = ("", "-wal", "-shm")
    for ending in endings:
        (tmp_path / f"{FILE}{ending}").write_text(f"its{ending}")
    aside = set_aside(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{FILE}.damaged-1{ending}" for ending in endings
    }
    assert aside.with_name(f"{aside.name}-wal").read_text() == "its-wal"


def test_an_empty_file_is_no_damage(runs, capsys):
    (runs / FILE).write_bytes(b"")
    capsys.readouterr()
    assert rebuild_all(str(runs)) == ExitCode.PASS
    assert capsys.readouterr().err == ""


def newer(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")


def folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("change", [newer, folder])
def test_what_is_not_damaged_is_left(runs, change):
    change(runs / FILE)
    with pytest.raises(UserError) as refused:
        rebuild_all(str(runs))
    assert not isinstance(refused.value, DamagedHistory)
    assert not list(runs.glob(f"{FILE}.damaged-*"))
