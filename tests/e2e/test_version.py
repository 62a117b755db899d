"""One vLLM version on one real server that the tests here share: its version, and the tools."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hosts_here import assert_given_back
from night import INVOKE, PROJECT, runs_in
from run_tool import evaluate

from ci.catalog import dataset_files
from ci.commands.nightly import find_case
from ci.judge.verdict import judge
from ci.paths import workspace_of
from ci.plan.evaluations import job_of
from ci.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ci.plan.model import Plan

ITEMS = 8
BENCHMARKS = f"""\
benchmarks:
  acc:
    case_type: accuracy
    tool: lm_eval
    dataset_path: lamplighter/arithmetic
    num_prompts: {ITEMS}
    max_out_len: 48
    batch_size: 8
    temperature: 0
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: lamplighter/arithmetic
    num_prompts: {ITEMS}
    max_out_len: 16
    batch_size: 4
"""


@dataclass(frozen=True)
class Served:
    """A server that is up: its plan, and the folder of the run that brought it up."""

    plan: Plan
    run: Path


@pytest.fixture(scope="module")
def served(
    vllm: str, case: Callable[..., str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Bring one server up for this file's tests; nothing of it is left afterwards."""
    folder = tmp_path_factory.mktemp("served")
    config = folder / "case.yaml"
    config.write_text(case(BENCHMARKS, "--root-path /x"))
    runs = ("--runs", str(folder / "runs"))
    try:
        brought_up = _inv("up", "--config", str(config), "--vllm", vllm, *runs)
        assert brought_up.returncode == 0
        (run,) = runs_in(folder / "runs")
        yield Served(find_case(Request(str(config), vllm=vllm)).plan, run)
    finally:
        for run in runs_in(folder / "runs"):
            assert _inv("down", "--run", run.name, *runs).returncode == 0
        assert_given_back(workspace_of(""))


def _inv(*words: str) -> subprocess.CompletedProcess[str]:
    argv = [*INVOKE, *words]
    ended = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    print(ended.stdout, ended.stderr)
    return ended


def test_it_is_the_version_that_was_asked_for(served: Served, vllm: str):
    record = json.loads((served.run / "run.json").read_text())
    assert record["versions"]["vllm served"].partition("+")[0] == vllm
    assert [check["outcome"] for check in record["checks"]] == ["pass", "pass"]
    assert record["overhead_s"] > 0


@pytest.mark.parametrize("name", ["acc", "perf"])
def test_a_tool_measures_it(served: Served, tmp_path: Path, name: str):
    (evaluation,) = (item for item in served.plan.evaluations if item.benchmark.name == name)
    dataset_files.stage(evaluation.dataset, tmp_path / "data")
    job = job_of(evaluation, str(tmp_path))
    Path(job.work).mkdir()
    result = evaluate(job)
    assert result.problems == ()
    assert judge((evaluation.benchmark,), {name: result}).outcome == "pass"
    assert len(result.items) == ITEMS
    if name == "perf":
        assert all(item.tokens and item.tokens > 0 for item in result.items)
