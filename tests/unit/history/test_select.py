"""Test how an operator names runs and cases."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from stored_runs import run_of, stored

from ci.errors import UserError
from ci.history.database import opened
from ci.history.folders import refresh
from ci.history.ledger import append
from ci.history.select import case_named, folder_of, pair_of
from ci.judge.baseline import Rejected

OUTCOMES = ("pass", "pass", "fail", "unknown")


@pytest.fixture
def runs(tmp_path):
    """A folder with four nights of a case, and one of another that comes last."""
    for night, outcome in enumerate(OUTCOMES):
        stored(tmp_path, run_of(night, outcome=outcome))
    stored(tmp_path, run_of(9, case="other", config="elsewhere/Big.yaml"))
    return tmp_path


@pytest.fixture
def connection(runs):
    with opened(runs) as connection:
        refresh(runs, connection, pytest.fail)
        yield connection


@pytest.mark.parametrize(
    ("name", "night"),
    [
        ("20260103-200000-local-0002", 2),
        ("20260103", 2),
        ("20260103-2", 2),
        ("last", 9),
        ("last-good", 9),
        ("{runs}/20260104-200000-local-0003", 3),
    ],
)
def test_a_run_is_named_by_id_by_its_beginning_by_folder_and_as_the_last(
    runs, connection, name, night
):
    folder = folder_of(runs, connection, name.format(runs=runs))
    assert folder.name.endswith(f"-{night:04x}")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2026", "5 runs begin with '2026': "),
        ("2027", "no run '2027', neither a folder nor in "),
        ("", "5 runs begin with ''"),
    ],
)
def test_a_name_of_no_run_or_of_several_is_refused(runs, connection, name, message):
    with pytest.raises(UserError) as refused:
        folder_of(runs, connection, name)
    assert message in str(refused.value)


def test_of_many_runs_the_newest_are_listed(runs, connection):
    for night in range(10, 14):
        stored(runs, run_of(night))
    refresh(runs, connection, pytest.fail)
    with pytest.raises(UserError, match=r"9 runs .*, and 4 earlier ones; write more of the one"):
        folder_of(runs, connection, "202601")


PAIRS = {
    (): None,  # there is no other night of the case of the last night
    ("20260104",): (1, 3),
    ("20260103",): (1, 2),
    ("20260102",): (0, 1),
    ("20260101", "20260103"): (0, 2),
    ("last", "20260104"): (2, 3),
    ("20260101", "last"): (0, 3),
    ("20260101", "last-good"): (0, 1),
    ("20260104", "last-good"): (3, 1),
}


@pytest.mark.parametrize("names", PAIRS)
def test_two_runs_of_a_comparison(runs, connection, names):
    expected = PAIRS[names]
    if expected is None:
        with pytest.raises(UserError, match="no good night of the case 'other' before 20260110"):
            pair_of(runs, connection, names)
        return
    pair = pair_of(runs, connection, names)
    assert tuple(int(stored.run.id[-4:], 16) for stored in pair) == expected


def test_without_names_the_last_good_night_is_compared_with_the_last(runs, connection):
    stored(runs, run_of(10, case="other", outcome="fail"))
    refresh(runs, connection, pytest.fail)
    first, second = pair_of(runs, connection, ())
    assert (first.run.id[:8], second.run.id[:8]) == ("20260110", "20260111")
    assert pair_of(runs, connection, ("last",)) == (first, second)
    assert pair_of(runs, connection, ("last-good", "last")) == (first, second)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("20260101", "20260101"), "both are the run 20260101-200000-local-0000"),
        (("20260101",), "no good night of the case 'local' before 20260101"),
        (("a", "b", "c"), "expected two runs, got 3: a, b, c"),
        (("20260101", "nope"), "no run 'nope'"),
    ],
)
def test_what_is_no_pair_is_refused(runs, connection, names, message):
    with pytest.raises(UserError, match=message):
        pair_of(runs, connection, names)


def test_an_empty_folder_has_no_last_night(tmp_path):
    with opened(tmp_path) as connection, pytest.raises(UserError, match="no night in "):
        folder_of(tmp_path, connection, "last")


@pytest.mark.parametrize(
    ("name", "case"),
    [("local", "local"), ("other", "other"), ("Big.yaml", "other"), ("Big", "other")],
)
def test_a_case_is_named_by_its_name_or_its_file(connection, name, case):
    assert case_named(connection, name) == case


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("locla", "no night of a case 'locla'; did you mean 'local'? there are: local, other"),
        ("x", "no night of a case 'x'; there are: local, other"),
    ],
)
def test_a_case_without_a_night_is_refused(connection, name, message):
    with pytest.raises(UserError) as refused:
        case_named(connection, name)
    assert str(refused.value) == message


def test_a_file_of_several_cases_names_none_of_them(runs, connection):
    stored(runs, run_of(11, case="sweep-1", config="elsewhere/Big.yaml"))
    refresh(runs, connection, pytest.fail)
    with pytest.raises(UserError, match=r"Big has several cases: other, sweep-1; choose one"):
        case_named(connection, "Big")


def test_a_rejected_night_is_no_good_one(runs, connection, tmp_path):
    ids = [run_of(night).id for night in range(4)]
    entries = [Rejected(each, "me", "2026-02-01T00:00:00Z", "a fan") for each in ids[1:2]]
    ledgers = tmp_path / "ledgers"
    append(ledgers, "local", "rejected", entries)
    append(ledgers, "other", "rejected", [replace(entries[0], run=run_of(9, case="other").id)])
    first, second = pair_of(runs, connection, ["last-good", ids[3]], ledgers)
    assert (first.run.id, second.run.id) == (ids[0], ids[3])
    assert folder_of(runs, connection, "last-good", ledgers).name == ids[0]
    assert folder_of(runs, connection, "last", ledgers).name == run_of(9, case="other").id


def test_nights_whose_folders_were_removed_are_passed_over(runs, connection):
    for night in ("0001", "0003", "0009"):
        (folder,) = runs.glob(f"*-{night}")
        shutil.rmtree(folder)
    assert folder_of(runs, connection, "last").name.endswith("0002")
    first, second = pair_of(runs, connection, ())
    assert (first.run.id[-4:], second.run.id[-4:]) == ("0000", "0002")
