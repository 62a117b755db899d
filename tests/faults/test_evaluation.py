"""Faults while a tool measures. Those of real vLLM and of the controller are elsewhere."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from ci.lab import faults

if TYPE_CHECKING:
    from stage import Stage


def test_a_worker_dies_in_the_evaluation(stage: Stage):
    stage.in_table = False  # real vLLM's is there
    night = stage.begin(stage.case(measured=True))
    night.await_step("evaluate")
    stage.pid_in(stage.head, "ais_bench")
    os.kill(stage.pid_in(stage.worker, "light_server.py"), signal.SIGKILL)
    night.finish()
    night.assert_unknown("server-1", stage.worker, "SIGKILL")
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    assert (night.folder / "logs" / stage.head / "acc.log").exists()
    stage.await_nothing_left()


def test_the_evaluation_tool_hangs(stage: Stage):
    night = stage.night(stage.case("tired", measured=True, deadline_s=45))
    night.assert_unknown(f"aisbench on {stage.head} did not finish within 45 s", "deadline_s")
    assert night.log(stage.head, "acc")
    stage.await_nothing_left()


def test_the_leaders_disk_fills(stage: Stage):
    night = stage.begin(stage.case("slow", measured=True))
    night.await_step("evaluate")
    stage.pid_in(stage.head, "ais_bench")
    faults.fill_disk(stage.lab, stage.head)
    night.finish()
    night.assert_unknown(f"{stage.head}: its disk is full", "free some space")
    assert (night.folder / "logs" / stage.head / "acc.log").exists()
    stage.await_nothing_left()
