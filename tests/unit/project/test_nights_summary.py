"""The table of a workflow's nights."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest
from stored_runs import run_of, stored

from ci.paths import PROJECT

SCRIPT = PROJECT / ".github" / "nights_summary.py"
SPEC = importlib.util.spec_from_file_location("nights_summary", SCRIPT)
summary = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(summary)


def test_the_worst_comes_first(tmp_path):
    for folder, outcome in (("a", "pass"), ("b/c", "unknown"), ("d", "fail")):
        stored(tmp_path / folder, run_of(outcome=outcome, run_id=f"run-{outcome}", case=outcome))
    lines = summary.table(tmp_path).splitlines()
    assert lines[:2] == [
        "| case | outcome | cause | took | run |",
        "| --- | --- | --- | --- | --- |",
    ]
    assert [line.split(" | ")[0] for line in lines[2:]] == ["| fail", "| unknown", "| pass"]
    assert "FAIL: 1 of 1 check missed the bound" in lines[2]


def test_texts_of_hosts_are_no_markdown(tmp_path):
    cause = {"kind": "HostLost", "message": "a | <img src=x> `b`\nc"}
    stored(tmp_path, run_of(outcome="unknown", cause=cause))
    assert "a \\| &lt;img src=x> \\`b\\` c" in summary.table(tmp_path)


def test_a_damaged_record_is_told(tmp_path):
    stored(tmp_path, run_of())
    for folder in tmp_path.iterdir():
        (folder / "run.json").write_text("{")
    assert "run.json" in summary.table(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_no_nights(tmp_path, there):
    folder = tmp_path if there else tmp_path / "none"
    command = [sys.executable, SCRIPT, folder]
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=PROJECT).stdout
    assert said.startswith("No night left a record")
