"""Nights that are judged by those before them, with a stand-in for vLLM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from answered import ACC, ITEMS, STAND_IN, answers

from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night


def test_a_suspect_is_measured_again_and_fails_by_the_nights_before(
    start_night: Callable[..., Night], with_tool: Path, free_port: int, tmp_path: Path
):
    runs = tmp_path / "runs"

    def night(right: int, *flags: str) -> Night:
        command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1"
        case = {
            "test_name": "answers",
            "model": "light",
            "num_nodes": 1,
            "npu_per_node": 0,
            # Other tests run beside this one.
            "telemetry": "off",
            "env_common": {
                "SERVER_PORT": free_port,
                "STAND_IN_ANSWERS": answers(tmp_path / "answers.json", right),
            },
            "deployment": [{"server_cmd": f"{command} --port $SERVER_PORT"}],
            "benchmarks": {"acc": ACC},
        }
        flags = ("--local", "--workspace", str(with_tool), *flags)
        night = start_night(json.dumps(case), *flags, runs=runs)
        night.finish()
        return night

    def check(night: Night) -> dict[str, object]:
        return next(each for each in night.record["checks"] if each["name"] == "acc")

    first = night(ITEMS)
    assert (first.code, check(first)["reason"]) == (0, "no baseline yet")
    second = night(ITEMS)
    assert (second.code, check(second)["reason"]) == (0, "")
    assert check(second)["baseline"] == pytest.approx(100)
    assert check(second)["seen"] == "1 comparable night"

    worse = night(ITEMS // 2)
    assert worse.code == 1
    judged = check(worse)
    assert judged["reason"].startswith(
        "50 points lower than 2 nights (measured again: 50, 50, 50 %, p = "
    )
    assert judged["source"].startswith("2 nights since ")
    measured = [(each["benchmark"], each["raw"]) for each in worse.record["evaluations"]]
    assert [name for name, _ in measured] == ["acc"] * 4
    assert len({raw for _, raw in measured}) == 4
    stored = read_run(worse.folder)
    assert judged_again(stored).checks == stored.run.checks

    # The night that failed is no level for this one, and without a budget one look decides.
    again = night(ITEMS // 2, "--retest-budget", "0")
    assert len(again.record["evaluations"]) == 1
    assert check(again)["reason"].startswith("50 points lower than 2 nights (p = ")
    assert "raise --retest-budget" in again.output
