"""Nights that judge more than the main figure: latencies, goodput, counts, and the start."""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
from captured_bench import CAPTURED, MEASURED
from night import LIGHT_SERVER, inv

from ci.history.database import opened
from ci.history.store import figures
from ci.judge.past import CheckId
from ci.judge.verdict import NO_BASELINE
from ci.record.again import judged_again
from ci.record.stored import read_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from night import Night

PERF = {**MEASURED, "goodput": {"ttft": 1}}
# Leaves a captured result.
VLLM = """\
#!{python}
import pathlib, shutil, sys
folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
folder.mkdir(parents=True)
shutil.copy({result!r}, folder / "result.json")
"""


def vllm_leaving(result: Path) -> Path:
    """Make a stand-in for vLLM that measures what a file has; return its folder."""
    tool = result.parent / "bin" / "vllm"
    tool.parent.mkdir()
    tool.write_text(VLLM.format(python=sys.executable, result=str(result)), "utf-8")
    tool.chmod(0o755)
    return tool.parent


@pytest.fixture
def play(begin: Callable[..., Night], tmp_path: Path) -> Callable[..., Night]:
    """Play a night whose tool measures the captured figures, with these changes."""
    result = tmp_path / "result.json"
    path = f"{vllm_leaving(result)}:{os.environ['PATH']}"

    def night(keys: dict[str, Any], **changes: float) -> Night:
        result.write_text(json.dumps(json.loads(CAPTURED.read_text("utf-8")) | changes), "utf-8")
        # Other tests run beside this one.
        keys = {"telemetry": "off", **keys}
        night = begin("phases", keys, PATH=path, runs=tmp_path / "runs")
        night.finish()
        return night

    return night


def checks_of(night: Night) -> dict[tuple[str, str], dict[str, Any]]:
    return {(each["name"], each["metric"]): each for each in night.record["checks"]}


def test_every_figure_that_a_case_names_is_judged(play: Callable[..., Night]):
    metrics = {
        "ttft_p99": {"baseline": 5, "threshold": 0.9},
        "e2el_mean": {"baseline": 5, "threshold": 1.11},
        "ttft_mean": {"baseline": 100, "threshold": 0.9},
        "goodput": {},
        "server_preemptions": {},
    }
    startup = {
        "startup_weights_s": {"baseline": 1, "threshold": 0.5},
        "startup_graph_capture_s": {},
    }
    keys = {"benchmarks": {"perf": {**PERF, "metrics": metrics}}, "startup": startup}
    night = play(keys, request_goodput=0.0)
    checks = checks_of(night)
    outcomes = {key: check["outcome"] for key, check in checks.items()}
    assert outcomes == {
        ("smoke completion", "tokens"): "pass",
        ("smoke chat", "tokens"): "pass",
        ("perf", "output_token_throughput"): "pass",
        ("perf", "ttft_p99"): "fail",
        ("perf", "e2el_mean"): "fail",
        ("perf", "ttft_mean"): "pass",
        ("perf", "request_goodput"): "pass",
        ("perf", "server_preemptions"): "unknown",
        ("startup", "startup_weights_s"): "unknown",
        ("startup", "startup_graph_capture_s"): "pass",
    }
    assert (night.code, night.record["outcome"]) == (1, "fail")

    first, other = checks["perf", "ttft_p99"], checks["perf", "e2el_mean"]
    assert first["reason"] == (
        "93.9 % longer than the baseline (measured again: 9.696, 9.696, 9.696 ms)"
    )
    assert (first["same_as"], first["operator"]) == ("", "<=")
    assert first["bound"] == pytest.approx(5 / 0.9)
    assert first["source"].startswith(str(night.case))
    assert other["reason"].endswith("; the same finding as ttft_p99")
    assert other["bound"] == pytest.approx(5 * 1.11)
    assert "FAIL: 2 of 10 checks missed the bound; 1 finding" in night.output
    goodput = checks["perf", "request_goodput"]
    assert (goodput["value"], goodput["reason"]) == (0.0, NO_BASELINE)
    assert checks["perf", "server_preemptions"]["reason"] == "no server_preemptions in its result"
    weights = checks["startup", "startup_weights_s"]
    assert weights["reason"] == (
        "suspect: 320 % longer than the baseline, and tonight cannot tell (measure it again)"
    )
    assert checks["startup", "startup_graph_capture_s"]["value"] == 0.0

    # One further run answers all suspects of a benchmark.
    assert [each["benchmark"] for each in night.record["evaluations"]] == ["perf"] * 4
    assert "perf is suspect (ttft_p99, e2el_mean): it is measured again" in night.output
    for number in (1, 2, 3):
        assert f"again  perf, {number} of at most 3, budget: " in night.output
    assert "why    ttft_p99 9.70 ms, 5 expected, p = 1, so are e2el_mean" in night.output
    assert "why    ttft_p99 9.70 ms, 5 expected, again 9.696, p = 1" in night.output
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks

    with opened(night.runs) as connection:
        check = CheckId("case", "startup", "startup_weights_s")
        (weight,) = figures(connection, check)
    assert (weight.value, weight.unit, weight.outcome) == (4.2, "s", "unknown")
    listed = inv("history", "--case", "case", "--runs", str(night.runs)).stdout
    assert "startup startup_weights_s" in listed
    assert "perf ttft_p99" in listed


def test_a_pair_fails_until_the_nights_tell_that_chance_does_so(
    start_night: Callable[..., Night], workspace: Path, free_port: int, tmp_path: Path
):
    shutil.copy(CAPTURED, tmp_path / "result.json")
    path = f"{vllm_leaving(tmp_path / 'result.json')}:{os.environ['PATH']}"
    without = {key: value for key, value in PERF.items() if key != "goodput"}
    case = {
        "name": "pair",
        "model": "light",
        "telemetry": "off",
        "device": "cpu",
        "server_cmd": f"python3 {LIGHT_SERVER} {free_port} phases --port {free_port}",
        "test_content": ["completion", "benchmark_comparisons"],
        "benchmarks": {"cold": without, "warm": without},
        "benchmark_comparisons_args": [
            {"metric": "TTFT", "baseline": "cold", "target": "warm", "operator": "<"}
        ],
    }
    text, flags = json.dumps({"test_cases": [case]}), ("--local", "--workspace", str(workspace))
    reasons = []
    for _ in range(5):
        night = start_night(text, *flags, PATH=path, runs=tmp_path / "runs")
        night.finish()
        pair = checks_of(night)["warm against cold", "ttft_mean"]
        reasons.append((pair["outcome"], pair["reason"].partition(":")[0], pair["seen"][:6]))
    assert reasons == [
        *(("fail", "7.5 is not < 7.5; no interval yet", f"{past} of 4") for past in range(4)),
        ("unknown", "cannot tell", "4 nigh"),
    ]
    stored = read_run(night.folder)
    assert judged_again(stored).checks == stored.run.checks
