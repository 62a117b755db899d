"""Every command that reads a stored record: of any version, whole, damaged, or not there."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest
from night import PROJECT, inv

from ci.commands.which_hosts import targets_of
from ci.errors import UserError
from ci.record.stored import FILE, read_run
from ci.report.abandoned import complete_abandoned
from ci.request import Request

if TYPE_CHECKING:
    from pathlib import Path

VERSION_1 = PROJECT / "tests/unit/captured/records/version-1.json"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder of runs with three, of which the second is the latest that has a record.

    The fourth has no name of a run: somebody has put a copy there.
    """
    old = VERSION_1.read_text("utf-8")
    for name, text in (
        *(("20260101-a", old), ("20260102-b", old), ("20260103-c", None)),
        ("copy", old),
    ):
        (tmp_path / name).mkdir()
        if text is not None:
            (tmp_path / name / FILE).write_text(text, "utf-8")
    return tmp_path


def test_reports_of_a_stored_run_are_written_again_by_id_by_folder_and_of_the_latest(runs: Path):
    for words, name in (
        (("report", "20260101-a", "--runs", str(runs)), "20260101-a"),
        (("report", "--run", "20260101-a", "--runs", str(runs)), "20260101-a"),
        (("report", "--runs", str(runs), "20260101-a"), "20260101-a"),
        (("report", f"--runs={runs}", "20260101-a"), "20260101-a"),
        (("report", str(runs / "20260101-a")), "20260101-a"),
        (("report", "--runs", str(runs)), "20260102-b"),
    ):
        ended = inv(*words)
        assert (ended.returncode, ended.stderr) == (0, ""), words
        assert f"report {runs / name / 'report.md'}" in ended.stdout
        assert "a record of an older version, without the settings" in ended.stdout
        assert "PASS: 4 checks" in (runs / name / "report.md").read_text("utf-8")
        assert "<testsuite" in (runs / name / "junit.xml").read_text("utf-8")
        assert (runs / name / FILE).read_text("utf-8") == VERSION_1.read_text("utf-8")
        for made in ("report.md", "junit.xml"):
            (runs / name / made).unlink()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("report", "nope"), "no run 'nope', neither a folder nor in "),
        (("report", "--run", "20260103-c"), "no run '20260103-c'"),
        (("report",), "no run in "),
    ],
)
def test_a_run_that_does_not_exist_is_reported(
    words: tuple[str, ...], message: str, tmp_path: Path
):
    ended = inv(*words, "--runs", str(tmp_path))
    assert ended.returncode == 2
    assert message in ended.stderr


def test_a_report_that_cannot_be_written_is_not_a_success(runs: Path):
    (runs / "20260101-a" / "report.md").mkdir()
    ended = inv("report", "20260101-a", "--runs", str(runs))
    assert ended.returncode == 3
    assert "cannot write" in ended.stderr
    assert "junit.xml" in ended.stdout


HARMS = {
    "torn": ("{", "is damaged"),
    "newer": (json.dumps({"schema": 99}), "has version 99"),
    "something else": ("[]", "is damaged"),
}


@pytest.mark.parametrize("harm", HARMS)
@pytest.mark.parametrize("command", ["report", "down", "logs"])
def test_a_record_that_cannot_be_read_is_named_with_a_next_step(
    command: str, harm: str, runs: Path
):
    text, message = HARMS[harm]
    (runs / "20260101-a" / FILE).write_text(text)
    ended = inv(command, "--run", "20260101-a", "--runs", str(runs))
    assert ended.returncode == 2
    assert f"20260101-a/run.json{' ' if 'damaged' in message else ': it '}{message}" in ended.stderr
    assert "Traceback" not in ended.stderr
    if command != "report":
        assert "--cluster or --config" in ended.stderr


def test_hosts_are_read_from_records_of_both_versions(runs: Path):
    (target,) = targets_of(Request(runs=str(runs)), "20260101-a")
    assert (target.name, target.workspace, target.is_local) == ("localhost", "/home/op/ws", True)
    nowhere = json.loads(VERSION_1.read_text("utf-8")) | {"targets": []}
    (runs / "20260101-a" / FILE).write_text(json.dumps(nowhere))
    with pytest.raises(UserError, match="does not say where its hosts are"):
        targets_of(Request(runs=str(runs)), "20260101-a")


def test_an_abandoned_record_of_version_1_is_completed(runs: Path):
    folder = runs / "20260101-a"
    value = json.loads(VERSION_1.read_text("utf-8"))
    value |= {"outcome": "running", "exit_code": None, "ended_at": None}
    value["controller"]["host"] = platform.node()
    value["steps"][-1] |= {"outcome": "running", "seconds": None}
    (folder / FILE).write_text(json.dumps(value))
    warned: list[str] = []
    assert complete_abandoned(folder, warned.append)
    run = read_run(folder).run
    assert (run.outcome, run.exit_code, run.steps[-1].outcome) == ("unknown", 3, "failed")
    assert (folder / "report.md").exists()
    assert not complete_abandoned(folder, warned.append)
    assert warned == []


def test_an_abandoned_record_that_cannot_be_read_is_left_and_said(runs: Path):
    warned: list[str] = []
    (runs / "20260101-a" / FILE).write_text("{")
    assert not complete_abandoned(runs / "20260101-a", warned.append)
    assert not complete_abandoned(runs / "20260103-c", warned.append)
    (warning,) = warned
    assert "20260101-a/run.json is damaged" in warning
