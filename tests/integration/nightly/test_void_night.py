"""Nights beside a foreign process that uses the CPU: figures are void, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from captured_bench import CAPTURED, MEASURED

from ci.judge.verdict import NO_BASELINE
from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night

JUDGED = {**MEASURED, "baseline": 0.001, "threshold": 0.5}
# Measures for as long as the foreign process uses so many seconds of CPU, and leaves the captured
# result; first it kills the sampler, if it is told to.
WAITS_S = 6
VLLM = """\
#!{python}
import os, pathlib, shutil, sys, time
sampler = "LAMPLIGHTER_RUN=" + os.environ["LAMPLIGHTER_RUN"].partition("/")[0] + "/telemetry"
def is_sampler(path):
    try:
        return sampler.encode() in path.joinpath("environ").read_bytes().split(b"\\0")
    except OSError:
        return False
if os.environ.get("KILLS_SAMPLER"):
    for path in pathlib.Path("/proc").glob("[0-9]*"):
        if is_sampler(path):
            os.kill(int(path.name), 9)
def used_s():
    text = pathlib.Path("/proc", os.environ["FOREIGN"], "stat").read_text()
    return sum(map(int, text.rpartition(") ")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")
began_s = used_s()
while used_s() - began_s < {waits_s}:
    time.sleep(0.1)
folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
folder.mkdir(parents=True)
shutil.copy({captured!r}, folder / "result.json")
"""


@pytest.fixture
def foreign() -> Iterator[str]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield str(process.pid)
        process.kill()


@pytest.fixture
def disturbed(begin: Callable[..., Night], foreign: str, tmp_path: Path) -> Callable[..., Night]:
    """Play a night with these benchmarks beside a foreign process."""
    tool = tmp_path / "bin" / "vllm"
    tool.parent.mkdir()
    tool.write_text(
        VLLM.format(python=sys.executable, waits_s=WAITS_S, captured=str(CAPTURED)), "utf-8"
    )
    tool.chmod(0o755)
    path = f"{tool.parent}:{os.environ['PATH']}"

    def play(keys: dict[str, object], **env: str) -> Night:
        night = begin(keys=keys, PATH=path, FOREIGN=foreign, **env)
        night.finish()
        return night

    return play


def test_a_figure_that_was_taken_beside_foreign_load_is_void(disturbed: Callable[..., Night]):
    night = disturbed({"benchmarks": {"known": JUDGED, "new": MEASURED}})
    checks = {check["name"]: check for check in night.record["checks"]}
    known, new = checks["known"], checks["new"]
    assert (night.code, night.record["outcome"]) == (3, "unknown")
    assert night.record["cause"] is None
    assert (known["outcome"], new["outcome"]) == ("unknown", "pass")
    assert known["value"] == new["value"]
    for check, begins in ((known, "void: "), (new, f"{NO_BASELINE}; void: ")):
        assert check["reason"].startswith(begins)
        assert "cores of host localhost went to processes outside the run" in check["reason"]
    assert [bool(each["void"]) for each in night.record["evaluations"]] == [True, True]
    lines = (night.folder / "telemetry" / "localhost.jsonl").read_text("utf-8").splitlines()
    kinds = [json.loads(line)["kind"] for line in lines]
    assert (kinds[0], kinds[-1]) == ("host", "end")
    assert set(kinds[1:-1]) == {"sample"}
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks


def test_a_case_may_allow_it_or_sample_nothing(disturbed: Callable[..., Night]):
    everything = {"foreign_cpu_percent": 100, "disturbed_percent": 100, "steal_percent": 100}
    night = disturbed({"benchmarks": {"known": JUDGED}, "telemetry": everything})
    assert night.code == 0
    assert (night.folder / "telemetry" / "localhost.jsonl").exists()
    night = disturbed({"benchmarks": {"known": JUDGED}, "telemetry": False})
    assert night.code == 0
    assert not (night.folder / "telemetry").exists()
    assert night.record["evaluations"][0]["void"] == []


def test_a_sampler_that_dies_ends_no_night_and_its_seconds_are_lost(
    disturbed: Callable[..., Night],
):
    night = disturbed({"benchmarks": {"known": JUDGED}}, KILLS_SAMPLER="yes")
    night.assert_unknown("void: ", "have no sample of host localhost")
    assert night.record["cause"] is None
    assert "its sampler ended early: exited (signal 9)" in night.notes
