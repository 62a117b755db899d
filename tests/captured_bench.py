"""A benchmark of `vllm bench` for tests that put a captured result in place of the tool's own."""

from __future__ import annotations

from ci.paths import PROJECT

CAPTURED = (
    PROJECT / "tests" / "unit" / "captured" / "vllm_bench_performance" / "out" / "result.json"
)
MEASURED = {
    "case_type": "performance",
    "tool": "vllm_bench",
    "model_path": str(PROJECT),  # such a tool reads no tokenizer
    "dataset_path": "lamplighter/arithmetic",
    "num_prompts": 4,
    "max_out_len": 6,
    "batch_size": 4,
}
