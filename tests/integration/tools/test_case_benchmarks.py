"""Benchmarks of case files in small form: made, found or in the form of a missing dataset."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks_of_cases import rows_of
from small_runs import RAN, different, refused_conf, run_all

from ci.case.benchmark import Benchmark
from ci.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks_of_cases import Row

PARTS = 12  # each a test of a few minutes
ROOTS = [Path(os.environ.get("LAMPLIGHTER_DATASETS", "/nowhere")), PROJECT / "benchmarks"]
PERF = {"case_type": "performance", "dataset_conf": "gsm8k/gsm8k_gen_0_shot_cot_str_perf"}
FEW = (
    {**PERF, "dataset_path": "vllm-ascend/GSM8K-in16384-bs1024-prefix90-qwen"},
    {
        "case_type": "accuracy",
        "dataset_path": "vllm-ascend/aime2025",
        "dataset_conf": "aime2025/aime2025_gen_0_shot_chat_prompt",
    },
)


def rows_of_all() -> list[Row]:
    folders = [str(PROJECT / "configs" / "cases"), os.environ.get("CASE_CORPUS", "")]
    return [*rows_of([folder for folder in folders if folder], ROOTS)]


def test_benchmarks_as_the_field_has_them_run(tool_bin: Callable[[str], str]) -> None:
    tool_bin("aisbench")
    usual = {"name": "b", "max_out_len": 1024, "batch_size": 4}
    benchmarks = [Benchmark.model_validate(usual | fields) for fields in FEW]
    outcomes = run_all(different(benchmarks), [PROJECT / "benchmarks"], 2)
    assert list(outcomes.values()) == [RAN, RAN]


def test_names_that_aisbench_lacks_are_few() -> None:
    """What `inv check` and a night refuse: two of the field's files have such a name."""
    rows = rows_of_all()
    refused = [row for row in rows if refused_conf(row.benchmark)]
    assert len(refused) <= 0.02 * len(rows)


@pytest.mark.long
@pytest.mark.parametrize("part", range(PARTS))
def test_every_other_benchmark_of_all_cases_runs(part: int, tool_bin: Callable[[str], str]) -> None:
    for environment in ("aisbench", "lm_eval"):
        tool_bin(environment)
    rows = [row for row in rows_of_all() if not refused_conf(row.benchmark)]
    mine = [*different(row.benchmark for row in rows).items()][part::PARTS]
    outcomes = run_all(dict(mine), ROOTS, 1)
    assert {name: why for name, why in outcomes.items() if why != RAN} == {}
