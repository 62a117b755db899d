"""One vLLM version, really served: smoke, a small accuracy and performance run, its version."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BENCHMARKS = """\
benchmarks:
  acc:
    case_type: accuracy
    tool: lm_eval
    dataset_path: lamplighter/arithmetic
    num_prompts: 8
    max_out_len: 48
    batch_size: 8
    temperature: 0
    baseline: 50
    threshold: 50
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: lamplighter/arithmetic
    num_prompts: 8
    max_out_len: 16
    batch_size: 4
"""


def test_it_serves_answers_and_is_the_version_that_was_asked_for(
    case: Callable[..., object],
    start: Callable[..., object],
    finish: Callable[..., object],
    vllm: str,
):
    ended = finish(start(case(BENCHMARKS)))
    assert ended.code == 0
    record = ended.record
    assert record["versions"]["vllm served"].partition("+")[0] == vllm
    assert {check["name"]: check["outcome"] for check in record["checks"]} == {
        "smoke completion": "pass",
        "smoke chat": "pass",
        "acc": "pass",
        "perf": "pass",
    }
    for entry in record["evaluations"]:
        lines = (ended.folder / entry["items"]).read_text().splitlines()
        assert len(lines) == 8
    performance = [json.loads(line) for line in lines]
    assert all(item["tokens"] > 0 for item in performance)
    assert record["survivors"] == []
    assert record["overhead_s"] > 0
