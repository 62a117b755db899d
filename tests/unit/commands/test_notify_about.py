"""Test what `inv notify` tells about: a night, or the run of a suite, which has ended."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from stored_runs import run_of, stored
from suite_runs import attempt, night, suite_run

from ci.commands.notify_about import what_to_tell
from ci.errors import UserError
from ci.suite_run.folder import SuiteFolder, locked

OLD, NEW, GOES_ON = (f"2026010{day}-190000-suite-daily-000{day}" for day in (1, 2, 3))


@pytest.fixture
def runs(tmp_path):
    """Two runs of a suite with two attempts each, one that goes on, and one of another suite."""
    for at, name in enumerate((OLD, NEW, GOES_ON, "20260104-190000-suite-other-0004")):
        tried = [run_of(at, run_id=f"2026010{at + 1}-20000{n}-local-{at}{n}") for n in range(2)]
        for run in tried:
            stored(tmp_path, run.model_copy(update={"suite": "daily"}))
        suite = name.split("-")[3]
        nights = night("local", "ended", *(attempt("pass", run=run.id) for run in tried))
        outcome = "running" if name == GOES_ON else "pass"
        (tmp_path / name).mkdir()
        state = suite_run(nights, id=name, name=suite, outcome=outcome)
        SuiteFolder(tmp_path / name, pytest.fail).save(state)
    return tmp_path


def suite(name):
    return SimpleNamespace(name=name)


@pytest.mark.parametrize(
    ("name", "of", "folder", "text"),
    [
        ("", suite("daily"), NEW, f"{NEW}, the run of the suite daily"),
        ("last", suite("daily"), NEW, f"{NEW}, the run of the suite daily"),
        (OLD, None, OLD, f"{OLD}, the run of the suite daily"),
        ("{runs}/" + OLD, suite("daily"), OLD, f"{OLD}, the run of the suite daily"),
        ("", None, "20260104-200001-local-31", "the night 20260104-200001-local-31 of the case"),
        ("", suite("none"), "20260104-200001-local-31", "; no run of the suite none is in "),
        ("20260102-200000", suite("daily"), "20260102-200000-local-10", "the night 20260102-20"),
    ],
)
def test_what_is_told(runs, name, of, folder, text):
    told = what_to_tell(runs, name.format(runs=runs), of)
    assert told.folder.name == folder
    assert text in told.text
    assert (told.suite_run is None) == ("-suite-" not in folder)


def test_no_attempt_of_the_same_suites_run_is_the_night_before(runs):
    told = what_to_tell(runs, "20260102-200001", None)
    assert told.same_evening == {"20260102-200000-local-10", "20260102-200001-local-11"}


def test_a_run_of_a_suite_that_goes_on_is_refused(runs):
    with pytest.raises(UserError, match=r"its controller is not there: .*suite\.run --resume"):
        what_to_tell(runs, GOES_ON, None)
    with (
        locked(runs / GOES_ON),
        pytest.raises(UserError, match=r"still runs, .*`inv suite\.status"),
    ):
        what_to_tell(runs, GOES_ON, None)


def test_a_suite_none_of_whose_runs_has_ended_is_refused(runs):
    for name in (OLD, NEW):
        (runs / name / "suite.json").write_text("{")
    with pytest.raises(UserError, match=r"no run of the suite daily has ended: 20260103-190000-"):
        what_to_tell(runs, "", suite("daily"))
