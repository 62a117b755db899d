"""The last good version beside a suspect, with a stand-in for two versions of vLLM."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from answered import STAND_IN
from captured_bench import MEASURED
from version_stand_ins import Versions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

OLD, NEW = "0.30.0", "0.32.0"
USUAL = (1000.0, 1004.0, 997.0, 1001.0, 1002.0)


@pytest.fixture
def versions(workspace: Path, tmp_path: Path) -> Versions:
    return Versions(workspace, tmp_path, OLD, NEW)


@pytest.fixture
def night(
    start_night: Callable[..., Night], workspace: Path, free_port: int, tmp_path: Path
) -> Callable[..., Night]:
    """Run nights with the same history."""

    def run(version: str, *flags: str) -> Night:
        command = f"python3 {STAND_IN} --served-model-name light --host 127.0.0.1"
        case = {
            "test_name": "two versions",
            "model": "light",
            "num_nodes": 1,
            "npu_per_node": 0,
            # Other tests run beside this one.
            "telemetry": "off",
            "env_common": {"SERVER_PORT": free_port},
            "deployment": [{"server_cmd": f"{command} --port $SERVER_PORT"}],
            "benchmarks": {"perf": MEASURED},
        }
        here = ("--local", "--device", "cpu", "--workspace", str(workspace), "--vllm", version)
        started = start_night(json.dumps(case), *here, *flags, runs=tmp_path / "runs")
        started.finish()
        return started

    return run


@pytest.fixture
def usual(night: Callable[..., Night], versions: Versions) -> None:
    """Some good nights of the old version."""
    versions.measures(OLD, *USUAL)
    for _ in USUAL:
        assert night(OLD).code == 0


def check(record: dict[str, Any]) -> dict[str, Any]:
    return next(each for each in record["checks"] if each["name"] == "perf")


CONTROL = ("--control", "last-good")


@pytest.mark.usefixtures("usual")
def test_only_a_loss_against_the_last_good_version_fails(
    night: Callable[..., Night], versions: Versions
):
    versions.measures(NEW, 900, 901, 902, 899)
    versions.measures(OLD, 1003, 998, 1000)
    worse = night(NEW, *CONTROL)
    assert worse.code == 1
    reason = check(worse.record)["reason"]
    assert "measured again: 901, 902, 899 tok/s" in reason
    assert "the last good version tonight: 1003, 998, 1000 tok/s" in reason
    assert "again  perf, last good version, 2 of at most 3, budget: " in worse.output
    assert "again 901, 902, last good version 1003, p = " in worse.output
    assert f"report {worse.folder}/report.html" in worse.output

    control, again = worse.beside
    assert (control["purpose"], again["purpose"]) == ("control", "again")
    assert {each["night"] for each in worse.beside} == {worse.record["id"]}
    assert [each["versions"]["vllm served"] for each in worse.beside] == [OLD, NEW]
    counts = [len(each["evaluations"]) for each in (worse.record, control, again)]
    assert counts == [3, 3, 1]
    assert [each["outcome"] for each in worse.beside] == ["pass", "pass"]

    # The last good version is as slow tonight: that is not this version's fault.
    versions.measures(NEW, 903)
    versions.measures(OLD, 902)
    slow = night(NEW, *CONTROL)
    assert slow.code == 3
    assert "so is the last good version: the night's fault" in check(slow.record)["reason"]
    assert [each["purpose"] for each in slow.beside] == ["control"]
    # What was measured beside a night is no night of the history.
    assert check(slow.record)["seen"].startswith(f"{len(USUAL) + 1} comparable nights; 3 not: ")


@pytest.mark.usefixtures("usual")
@pytest.mark.parametrize(
    ("version", "flags", "told"),
    [
        (NEW, (), ""),
        (OLD, CONTROL, f"ran the same vLLM {OLD}"),
        (NEW, (*CONTROL, "--retest-budget", "0"), "raise --retest-budget"),
    ],
)
def test_where_nothing_is_measured_beside(
    night: Callable[..., Night],
    versions: Versions,
    version: str,
    flags: tuple[str, ...],
    told: str,
):
    versions.measures(version, 900)
    worse = night(version, *flags)
    assert (worse.code, worse.beside) == (1, [])
    assert told in worse.notes


@pytest.mark.usefixtures("usual")
def test_a_last_good_version_that_cannot_start_is_told(
    night: Callable[..., Night], versions: Versions
):
    versions.measures(NEW, 900)
    (versions.bin(OLD) / "python3").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    worse = night(NEW, *CONTROL)
    assert worse.code == 1
    assert f"vLLM {OLD} could not be measured: " in worse.notes
    outcomes = [(each["purpose"], each["outcome"]) for each in worse.beside]
    assert outcomes == [("control", "unknown"), ("again", "pass")]
    assert "measured again: 900, 900, 900 tok/s" in check(worse.record)["reason"]


@pytest.mark.usefixtures("usual")
def test_a_night_against_itself(night: Callable[..., Night], versions: Versions):
    versions.measures(NEW, 1001, 900)
    first = night(NEW, "--against-itself")
    assert first.code == 0  # what judging says of the second run is no outcome of the version
    (second,) = first.beside
    assert (second["purpose"], second["night"]) == ("against-itself", first.record["id"])
    assert (check(second)["outcome"], check(second)["seen"]) == (
        "fail",
        f"{len(USUAL) + 1} comparable nights",
    )
    told = first.output.partition("against itself: ")[2]
    assert "judging says of the second run: perf output_token_throughput (" in told
    assert "fails: a false alarm" in told

    versions.measures(NEW, 1002)
    again = night(NEW, "--against-itself")
    assert "all 3 checks pass, as they should" in again.output
