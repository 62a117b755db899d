"""`inv bisect --axis host` on lab hosts of which one is slow, and none is named good or bad."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from captured_bench import MEASURED
from night import inv

if TYPE_CHECKING:
    from conftest import SuiteStage

BIN = Path(__file__).with_name("one_slow_host")


@pytest.mark.long
def test_the_slow_host_is_named(stage: SuiteStage):
    stage.case("hosts", "good")
    path = stage.folder / "hosts.yaml"
    case = json.loads(path.read_text())
    case |= {
        "telemetry": "off",
        "env_script": [str(BIN / "env.sh")],
        "benchmarks": {"perf": MEASURED},
    }
    path.write_text(json.dumps(case))
    done = inv(
        "bisect", "--config", str(path), "--axis", "host", "--cluster",
        str(stage.lab.cluster_file), "--runs", str(stage.runs), "--skip-doctor", CI="true",
    )  # fmt: skip
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    slow = next(host for host in stage.hosts if host.endswith("3"))
    assert f"ANSWER bad: {slow}, worse than the others with 9" in done.stdout
    (state,) = stage.runs.glob("*/bisect.json")
    nights = json.loads(state.read_text("utf-8"))["nights"]
    assert {each["point"] for each in nights} == set(stage.hosts)
    assert len(nights) <= 2 * len(stage.hosts)
