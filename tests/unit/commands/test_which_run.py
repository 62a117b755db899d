"""Test which run a command is about: named, begun to be named, or the last night."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_runs import run_of, stored

from ci.commands.runs import down
from ci.commands.which_hosts import last_night_named, named_run
from ci.commands.which_run import run_named
from ci.errors import UserError
from ci.record.controller import identity
from ci.record.stored import BISECTION, SUITE
from ci.request import Request

NIGHT = "20260102-200000-local-0001"


@pytest.fixture
def runs(tmp_path):
    """Two nights, and what was measured beside and after the second; then a part of a bisection."""
    folder = tmp_path / "runs"
    for night, purpose in enumerate(("night", "night", "control", "again", "bisect")):
        own = {} if purpose == "night" else {"purpose": purpose, "night": NIGHT}
        stored(folder, run_of(night).model_copy(update=own))
    return folder


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "0001"),
        ("last", "0001"),
        ("20260101", "0000"),
        ("20260103-200000-local-0002", "0002"),
        ("{runs}/20260104-200000-local-0003", "0003"),
        ("local", "0001"),
        ("local.yaml", "0001"),
    ],
)
def test_a_run_is_found(runs, name, expected):
    assert run_named(runs, name.format(runs=runs)).folder.name.endswith(expected)


def test_where_there_is_no_night_the_newest_run_is_taken(tmp_path):
    for night in range(2):
        stored(tmp_path, run_of(night, purpose="bisect"))
    assert run_named(tmp_path, "").run.id.endswith("0001")


KINDS = ("bisection", "suite", "none", "control", "again", "bisect", "smoke", "running")


def newest(runs, kind):
    """Add the newest folder of a kind: of a bisection, of a suite, without a record, of a run."""
    folder = runs / f"20260107-200000-{kind}-0009"
    if kind in {"bisection", "suite", "none"}:
        folder.mkdir()
        file = {"bisection": "bisect.json", "suite": "suite.json"}.get(kind, "lock")
        (folder / file).write_text("{}")
    elif kind == "running":
        stored(runs, run_of(6, outcome="running"))
    else:
        stored(runs, run_of(6).model_copy(update={"purpose": kind, "night": NIGHT}))


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_night_that_has_ended_is_meant_whatever_is_newest(runs, kind):
    newest(runs, kind)
    assert run_named(runs, "", ended=True).run.id == NIGHT
    expected = "0006" if kind == "running" else "0001"
    assert run_named(runs, "").run.id.endswith(expected)


def controller(**changes):
    return {**identity(), **changes}


@pytest.mark.parametrize(
    ("of", "message"),
    [
        ({}, "local-0006: runs now; `inv status` shows it; give the command again when"),
        ({"host": "elsewhere"}, "has not ended, and its controller is on elsewhere; `inv status`"),
        ({"start_ticks": 1}, "its controller has died; `inv down --run "),
    ],
)
@pytest.mark.parametrize("name", ["20260107", ""])
def test_a_run_that_goes_on_is_refused_where_it_must_have_ended(tmp_path, name, of, message):
    stored(tmp_path, run_of(6, outcome="running", controller=controller(**of)))
    with pytest.raises(UserError) as refused:
        run_named(tmp_path, name, ended=True)
    assert message in str(refused.value)


def test_a_damaged_record_is_named_if_it_is_the_last_and_passed_over_if_not(runs):
    for night in ("0004", NIGHT[-4:]):
        (path,) = runs.glob(f"*-{night}/run.json")
        path.write_text("{")
        if night == "0004":
            with pytest.raises(UserError, match=r"0004/run\.json is damaged"):
                run_named(runs, "")
            path.write_text((runs / "20260104-200000-local-0003" / "run.json").read_text())
    assert run_named(runs, "").run.id.endswith("0000")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("2026", "5 runs begin with '2026': 20260101-200000-local-0000, "),
        ("2027", "no run '2027', neither a folder nor in "),
        ("2027", "the newest: 20260105-200000-local-0004, 20260104-"),
        ("20260102-200000-local-001", "did you mean 20260102-200000-local-0001?"),
        ("[2]*", "no run '[2]*'"),
        ("../x", "no run '../x'"),
        ("/nope", "no run '/nope'"),
        ("\0", "no run '\\x00'"),
        ("20260106", "suite-daily-1 is a run of a suite; `inv suite.report 20260106-"),
        ("20260107-200000-bisect-x", "is a bisection; `inv bisect --resume {runs}/20260107-"),
    ],
)
def test_a_wrong_name_is_refused(runs, name, message):
    for folder, file in (
        ("20260106-200000-suite-daily-1", SUITE),
        ("20260107-200000-bisect-x", BISECTION),
    ):
        (runs / folder).mkdir()
        (runs / folder / file).write_text("{}")
    with pytest.raises(UserError) as refused:
        run_named(runs, name)
    assert message.format(runs=runs) in str(refused.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("20260102", NIGHT),
        ("{runs}/20260102-200000-local-0001", NIGHT),
        ("20270101-another", "20270101-another"),  # perhaps on the hosts
        ("local", "local"),
    ],
)
def test_a_run_on_hosts_is_found_by_its_beginning(runs, name, expected):
    request, run = named_run(Request(runs=str(runs)), name.format(runs=runs))
    assert (Path(request.runs), run) == (runs, expected)
    assert last_night_named(request, name) == (NIGHT if name == "local" else "")


@pytest.mark.parametrize("name", ["local", "last"])
def test_what_is_ended_is_named_by_itself(runs, name):
    with pytest.raises(UserError, match=f"`inv down --run {NIGHT}`"):
        down(Request(runs=str(runs), dry_run=True), name, all_mine=False)


def test_a_folder_without_runs_is_named(tmp_path):
    with pytest.raises(UserError, match="no run in "):
        run_named(tmp_path, "")
