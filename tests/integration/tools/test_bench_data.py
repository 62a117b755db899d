"""The prompts that the real `vllm bench serve` sends: those of the case's dataset, each once."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from answer_server import MODEL, Oracle, serving
from forms import ITEMS, counted, gsm8k
from run_tool import evaluate
from tokenizers_of_our_own import make_tokenizer

from ci.case.benchmark import Benchmark
from ci.catalog.dataset_files import stage
from ci.catalog.datasets import find
from ci.tools.model import Endpoint, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def sharegpt(folder: Path) -> None:
    folder.mkdir(parents=True)
    rows = [{"conversations": [{"value": q.text}, {"value": "a b c d e"}]} for q in counted()]
    (folder / "ShareGPT_V3.json").write_text(json.dumps(rows))


KINDS: dict[str, dict[str, Any]] = {
    "custom": {"dataset_conf": "custom", "goodput": {"ttft": 60000.0, "e2el": 60000.0}},
    "sharegpt": {"dataset_conf": "sharegpt", "request_rate": 50.0, "burstiness": 0.5},
    "random": {"dataset_conf": "random", "input_len": 20, "range_ratio": 0.5},
    "prefix_repetition": {"dataset_conf": "prefix_repetition", "prefix_len": 9, "num_prefixes": 2},
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompts_of_the_case_are_sent(
    kind: str, tmp_path: Path, tool_bin: Callable[[str], str]
) -> None:
    gsm8k(tmp_path / "datasets" / "custom")
    sharegpt(tmp_path / "datasets" / "sharegpt")
    fields = {"name": "b", "case_type": "performance", "tool": "vllm_bench", "num_prompts": ITEMS}
    fields |= {"dataset_path": kind, "max_out_len": 16, "batch_size": 4, **KINDS[kind]}
    benchmark = Benchmark.model_validate(fields)
    dataset = find(benchmark, [tmp_path / "datasets"])
    if dataset.path:
        stage(dataset, tmp_path / "data")
    (tmp_path / "work").mkdir()
    oracle = Oracle(counted(), frozenset(range(ITEMS)))
    with serving(oracle) as port:
        result = evaluate(
            Job(
                benchmark,
                replace(dataset, path=str(tmp_path / "data")),
                Endpoint("127.0.0.1", port, MODEL),
                make_tokenizer(tmp_path / "tokenizer"),
                tool_bin("vllm"),
                str(tmp_path / "work"),
            )
        )
    assert result.problems == ()
    assert len(result.items) == ITEMS
    figures = {figure.metric: figure.value for figure in result.measurements}
    assert ("request_goodput" in figures) == (kind == "custom")
    if dataset.path:  # the first is sent once more, to see that the server is ready
        assert set(oracle.asked) == set(range(ITEMS))
        assert sum(oracle.asked.values()) <= ITEMS + 1
    else:
        assert oracle.asked == {}
