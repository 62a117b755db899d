"""The tasks of the history as an operator types them: their words, exit codes and outputs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from night import inv
from stored_runs import evaluation, run_of, stored, throughput

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with three good nights of a case, and a folder that is no run."""
    folder = tmp_path / "runs"
    for night in range(3):
        stored(folder, run_of(night, evaluation(night)))
    (folder / "junk").mkdir()
    return folder


def test_the_history_of_a_case_is_typed_with_and_without_its_flag(runs: Path):
    where = ("--runs", str(runs))
    cases = inv("history", *where)
    assert (cases.returncode, cases.stdout.splitlines()[1].split()[:2]) == (0, ["local", "3"])
    assert cases.stderr.startswith("note   skipped junk: ")
    texts = {
        inv(*words, *where).stdout
        for words in (
            *(("history", "local"), ("history", "--case", "local")),
            ("history.show", "--case", "local.yaml"),
        )
    }
    assert len(texts) == 1
    assert len(texts.pop().splitlines()) == 4
    unknown = inv("history", "locl", *where)
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert "did you mean 'local'?" in unknown.stderr


def test_the_history_is_rebuilt_and_a_database_that_is_none_is_set_aside(runs: Path):
    where = ("--runs", str(runs))
    rebuilt = inv("history.rebuild", *where)
    assert (rebuilt.returncode, rebuilt.stderr) == (0, "")
    assert rebuilt.stdout.splitlines()[-1] == f"{runs / 'history.db'}: 3 runs"
    (runs / "history.db").write_text("not a database" * 100)
    for task in ("history", "compare"):
        refused = inv(task, *where)
        assert refused.returncode == 2
        assert "`inv history.rebuild` makes it again from the folders" in refused.stderr
    again = inv("history.rebuild", *where)
    assert (again.returncode, again.stdout) == (0, rebuilt.stdout)
    aside = runs / "history.db.damaged-1"
    assert again.stderr.endswith(f"file is not a database; it is now {aside}\n")
    assert aside.read_text() == "not a database" * 100
    assert inv("history", *where).returncode == 0
    missing = inv("history", "--runs", str(runs / "no"))
    assert (missing.returncode, "there is no such folder" in missing.stderr) == (2, True)


def test_two_runs_are_compared_by_the_beginnings_of_their_ids(runs: Path):
    where = ("--runs", str(runs))
    text = inv("compare", "20260101", "20260103", *where)
    assert text.returncode == 0
    assert "No known variable differs" in text.stdout
    value = json.loads(inv("compare", "20260101", "20260103", "--json", *where).stdout)
    assert [run["run"][:8] for run in value["runs"].values()] == ["20260101", "20260103"]
    refused = inv("compare", "2026", "20260103", *where)
    assert (refused.returncode, "3 runs begin with '2026'" in refused.stderr) == (2, True)


def test_a_baseline_is_accepted_shown_and_its_run_rejected(runs: Path, tmp_path: Path):
    ledgers = ("--baselines", str(tmp_path / "baselines"))
    where = ("--runs", str(runs), *ledgers)
    accepted = inv("baseline.accept", "last", "--because", "three nights agree", *where)
    assert (accepted.returncode, "acc accuracy: 75.00 % (3 nights" in accepted.stdout) == (0, True)
    shown = inv("baseline.show", "local", *ledgers)
    assert "three nights agree" in shown.stdout
    early = inv("baseline.accept", "20260101", "--because", "too early", *where)
    assert early.returncode == 2
    assert "1 comparable night agrees with it" in early.stderr
    rejected = inv("baseline.reject", "20260102", "--because", "the disk was full", *where)
    assert rejected.returncode == 0
    assert "rejected: the disk was full" in inv("history", "local", *where).stdout


def test_a_step_of_a_figure_is_told_with_what_changed(tmp_path: Path):
    """As typed, over nights whose throughput fell with a new version."""
    pytest.importorskip("otava")
    runs, noise = tmp_path / "runs", (0.5, -0.8, 1.1, -0.2, 0.9, -1.2)
    for night in range(20):
        speed, version = (100.0, "0.32.0") if night < 12 else (94.0, "0.33.0")
        entry = throughput(night, speed + noise[night % 6])
        stored(runs, run_of(night, entry, versions={"vllm served": version}))
    shown = inv("history", "local", "--runs", str(runs))
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "vLLM: 0.32.0 → 0.33.0" in shown.stdout.partition("change points")[2]
    listed = json.loads(inv("history", "local", "--json", "--runs", str(runs)).stdout)
    (night,) = [each for each in listed if each["change_points"]]
    assert night["run"].startswith("20260113-")
