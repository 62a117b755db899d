"""A stand-in for vLLM whose answers are given, and the accuracy that is measured with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from night import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

STAND_IN = PROJECT / "tests/integration/large/vllm_stand_in.py"
ITEMS = 16
ACC = {"case_type": "accuracy", "tool": "lm_eval", "dataset_path": "lamplighter/arithmetic"}
ACC |= {"num_prompts": ITEMS, "max_out_len": 64, "batch_size": 4}


def answers(path: Path, right: int) -> str:
    """Write what a model replies: the first `right` items are right."""
    path.write_text(json.dumps(replies(right)), "utf-8")
    return str(path)


def replies(right: int) -> dict[str, str]:
    """Return question → reply of a model of which the first `right` items are right."""
    rows = (PROJECT / "benchmarks/arithmetic/test.jsonl").read_text("utf-8").splitlines()[:ITEMS]
    found = {}
    for at, item in enumerate(map(json.loads, rows)):
        number = int(item["answer"].split("#### ")[1]) + (at >= right)
        found[item["question"]] = f"answer: {number}"
    return found
