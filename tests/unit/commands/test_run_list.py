"""Test `inv runs`: also the nights that have no outcome yet."""

from __future__ import annotations

import json

import pytest
from stored_runs import run_of, stored

from ci.commands.run_list import run_list
from ci.record.controller import identity

RUNS_NOW = ("running", "runs now; `inv status` shows it")


@pytest.fixture
def runs(tmp_path):
    """A night that passed, then one that runs; beside it what is measured for a bisection."""
    stored(tmp_path, run_of(0))
    running = {"outcome": "running", "controller": identity(), "ended_at": None}
    stored(tmp_path, run_of(1, **running))
    stored(tmp_path, run_of(2, **running, purpose="bisect"))
    stored(tmp_path, run_of(3, **running | {"controller": identity() | {"start_ticks": 1}}))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("", "", 20), ["0003", "0001", "0000"]),
        (("", "", 2), ["0003", "0001"]),
        (("local", "running", 0), ["0003", "0001"]),
        (("local", "pass", 0), ["0000"]),
    ],
)
def test_a_night_that_runs_is_listed(runs, capsys, given, expected):
    listed = json.loads(run_list(str(runs), *given, as_json=True))
    assert [night["run"][-4:] for night in listed] == expected
    said = {night["run"][-4:]: (night["outcome"], night["cause"]) for night in listed}
    assert said.get("0001", RUNS_NOW) == RUNS_NOW
    assert "inv down --run 20260102" not in capsys.readouterr().err


def test_the_only_night_runs(tmp_path):
    stored(tmp_path, run_of(0, outcome="running", controller=identity(), ended_at=None))
    assert "runs now" in run_list(str(tmp_path), "local", "", 20, as_json=False)
