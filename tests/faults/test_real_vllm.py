"""Faults with real vLLM on both hosts: one data-parallel rank each, the worker's headless."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest
from night import PROJECT

from ci.lab import faults

if TYPE_CHECKING:
    from night import Night
    from stage import Stage

CASE = PROJECT / "configs" / "cases" / "local-2-hosts.yaml"
SERVER = "vllm serve"
READY_S = 300
ENGINE = "VLLM::EngineCore"


def case(worker_flags: str = "") -> str:
    """Return the two hosts' case, with more flags for the worker."""
    return CASE.read_text("utf-8").replace("--headless", f"--headless {worker_flags}")


def kill(stage: Stage, host: str, words: str) -> None:
    os.kill(stage.pid_in(host, words), signal.SIGKILL)


def await_evaluation(stage: Stage, night: Night) -> None:
    """Wait until a tool measures what both ranks serve."""
    night.await_step("evaluate", READY_S)
    stage.pid_in(stage.head, "ais_bench")


def test_a_server_exits_at_once(stage: Stage):
    night = stage.night(case("--no-such-flag"))
    night.assert_unknown("server-1", stage.worker, "--no-such-flag")
    assert "unrecognized arguments: --no-such-flag" in night.log(stage.worker, "server-1")
    stage.await_nothing_left()


@pytest.mark.long
def test_a_worker_dies_while_the_head_is_up(stage: Stage):
    night = stage.begin(case())
    stage.pid_in(stage.head, SERVER)
    stage.pid_in(stage.worker, ENGINE, READY_S)
    kill(stage, stage.worker, SERVER)
    night.finish()
    night.assert_unknown("server-1", stage.worker, "SIGKILL")
    assert night.log(stage.worker, "server-1")
    assert night.log(stage.head, "server-0")
    stage.await_nothing_left()


@pytest.mark.long
def test_the_head_dies_in_the_evaluation(stage: Stage):
    night = stage.begin(case())
    await_evaluation(stage, night)
    kill(stage, stage.head, SERVER)
    night.finish()
    night.assert_unknown("server-0", stage.head, "SIGKILL")
    assert "Application startup complete" in night.log(stage.head, "server-0")
    assert night.log(stage.worker, "server-1")
    stage.await_nothing_left()


@pytest.mark.long
def test_the_worker_dies_in_the_evaluation_with_its_host(stage: Stage):
    night = stage.begin(case())
    await_evaluation(stage, night)
    faults.cut(stage.lab, stage.worker)
    night.finish()
    night.assert_unknown(f"lost {stage.worker}", "power, link and firewall")
    assert "Application startup complete" in night.log(stage.head, "server-0")
    stage.await_nothing_left(folders=(stage.worker,))
