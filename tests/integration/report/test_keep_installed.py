"""Nights of one case after another on a real disk: what each had installed, and what changed."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from ci.judge.verdict import Verdict
from ci.record import start as runs
from ci.report.console import Plain
from ci.report.installed import keep_installed
from ci.report.reports import write_reports
from ci.report.screen import SafeStream

ONE = ("six==1", "vllm==3")
TWO = ("six==2", "torch==1", "vllm==3", "xgrammar==1", "zlib==1")


@pytest.fixture
def night(tmp_path, monkeypatch):
    """Runs a night that lists what it has installed; gives its run.json, report and folder."""
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    numbers = iter(range(10, 100))

    def run(listed, case="local"):
        name = f"20260101-0000{next(numbers)}-{case}-abcd"
        monkeypatch.setattr(runs, "run_id", lambda *_: name)
        shown = StringIO()
        record = runs.start(
            tmp_path / "runs",
            Plain(SafeStream(shown)),
            write_reports,
            case=case,
            config="c.yaml",
            argv=["inv"],
        )
        keep_installed(record, listed)
        record.finish(Verdict("pass", ()))
        kept = json.loads((record.path / "run.json").read_text("utf-8"))
        return kept, (record.path / "report.md").read_text("utf-8"), record.path

    return run


def test_each_host_is_on_record_and_equal_lists_are_one_file(night):
    run, report, folder = night({"a": {"v": ONE, "t": TWO}, "b": {"v": ONE}, "c": {"v": None}})
    entry = run["environments"]["a"]["v"]
    assert (entry["version"], entry["packages"], len(entry["hash"])) == ("3", 2, 16)
    assert run["environments"]["b"]["v"] == entry
    assert run["environments"]["c"]["v"]["version"] == "unknown"
    assert (folder / entry["list"]).read_text("utf-8").split() == list(ONE)
    assert len(list((folder / "environments").iterdir())) == 2
    assert "unknown on c" in report
    assert run["environment_changes"] is None
    assert "since the last night" not in report


def test_a_night_that_differs_from_the_last_of_its_case_is_a_line(night):
    first, _, _ = night({"a": {"v": ONE}})
    night({"a": {"v": TWO}}, case="local-2")
    same, report, _ = night({"a": {"v": ONE}})
    assert (same["environment_changes"], "Changed" in report) == (None, False)
    other, report, folder = night({"a": {"v": TWO}})
    assert other["environment_changes"]["count"] == 4
    assert f"since the last night of this case ({same['id']}): v: six 1 → 2; " in report
    assert "; 1 more in environments/changes.txt" in report
    assert "v: + zlib 1" in (folder / "environments" / "changes.txt").read_text("utf-8")
    assert first["id"] < same["id"]


@pytest.mark.parametrize("harm", ["gone", "torn", "older"])
def test_a_record_that_cannot_be_read_is_passed_over(night, harm):
    good, _, _ = night({"a": {"v": ONE}})
    _, _, broken = night({"a": {"v": TWO}})
    path = broken / "run.json"
    if harm == "gone":
        path.unlink()
    elif harm == "torn":
        path.write_text("{", "utf-8")
    else:
        run = json.loads(path.read_text("utf-8"))
        del run["environments"]
        path.write_text(json.dumps(run), "utf-8")
    run, _, _ = night({"a": {"v": TWO}})
    assert run["environment_changes"]["since"] == good["id"]
