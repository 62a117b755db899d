"""Faults during bring-up: of servers, of the network, of hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci.lab import faults

if TYPE_CHECKING:
    from stage import Stage


def test_no_fault_at_all(stage: Stage):
    night = stage.night(stage.case())
    assert (night.code, night.record["outcome"]) == (0, "pass")
    assert "light server is up" in night.log(stage.head, "server-0")
    assert "a worker server is up" in night.log(stage.worker, "server-1")
    stage.await_nothing_left()


@pytest.mark.parametrize(
    ("manner", "cause"),
    [
        ("crash", "the light server does not like this"),
        ("late", "the light server does not like this"),
        ("deaf", "health 200 (connection refused)"),
        ("busy", "health 200 (HTTP 503"),
        ("mute", "a completion with tokens (no answer"),
    ],
)
def test_a_head_that_is(stage: Stage, manner: str, cause: str):
    night = stage.night(stage.case(manner, ready_timeout_s=30 if manner == "late" else 8))
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    assert cause in night.cause
    assert night.log(stage.head, "server-0") or manner in {"crash", "busy", "mute"}
    assert night.log(stage.worker, "server-1")
    stage.await_nothing_left()


def test_link_down_for_good(stage: Stage):
    night = stage.begin(stage.case("busy"))
    night.await_step("start the servers")
    faults.cut(stage.lab, stage.worker)
    night.finish()
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    assert stage.worker in night.cause
    assert night.log(stage.head, "server-0")
    stage.await_nothing_left(folders=(stage.worker,))
