"""The number of items of a benchmark, from lists alone."""

from __future__ import annotations

import pytest

from ci.case.benchmark import Benchmark
from ci.catalog.dataset_sizes import asked, available

AIME = "aime2025/aime2025_gen_0_shot_chat_prompt"
GPQA = "gpqa/gpqa_gen_0_shot_cot_chat_prompt"
GSM8K = "gsm8k/gsm8k_gen_0_shot_cot_chat_prompt"
TEXTVQA = "textvqa/textvqa_gen_base64"


@pytest.mark.parametrize(
    ("dataset", "more", "items", "all_items"),
    [
        ("gsm8k", {}, 1319, 1319),
        ("vllm-ascend/gsm8k-lite", {"dataset_conf": GSM8K, "num_prompts": 400}, 400, 1319),
        ("gsm8k", {"num_prompts": 5000}, 1319, 1319),
        ("vllm-ascend/AIME2024", {}, 30, 30),
        ("vllm-ascend/aime2025", {"dataset_conf": AIME}, 30, 30),
        ("vllm-ascend/gpqa", {"dataset_conf": GPQA}, 198, 198),
        ("vllm-ascend/gpqa", {"dataset_conf": GPQA, "num_prompts": 64}, 64, 198),
        ("gsm8k", {"tool": "lm_eval", "dataset_conf": "gsm8k_cot"}, 1319, 1319),
        ("aime25", {"tool": "evalscope"}, 30, 30),
        # A copy with a sample, of which nobody knows the size.
        ("vllm-ascend/textvqa-lite", {"dataset_conf": TEXTVQA}, 0, 0),
        ("vllm-ascend/aime2025-lite", {"dataset_conf": AIME}, 0, 0),
        ("vllm-ascend/textvqa-lite", {"dataset_conf": TEXTVQA, "num_prompts": 1000}, 1000, 0),
        ("/data/own", {}, 0, 0),
        ("/data/own", {"num_prompts": 12}, 12, 0),
        # 57 subjects, each with a figure of its own.
        ("mmlu", {"tool": "evalscope", "dataset_conf": "mmlu", "num_prompts": 5}, 0, 0),
        # Reported by other rules.
        ("gsm8k", {"dataset_conf": "gsm8k/none", "num_prompts": 7}, 7, 1319),
    ],
)
def test_items(dataset, more, items, all_items):
    benchmark = Benchmark(
        name="acc",
        case_type="accuracy",
        dataset_path=dataset,
        max_out_len=8,
        batch_size=1,
        **more,
    )
    assert (asked(benchmark), available(benchmark)) == (items, all_items)
