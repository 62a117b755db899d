"""Every form of dataset through real AISBench against a server that knows the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from answer_server import MODEL, Oracle, choose, serving
from forms import ITEMS, SCORED, TIMED
from run_tool import evaluate
from tokenizers_of_our_own import make_tokenizer

from ci.case.benchmark import Benchmark
from ci.catalog.dataset_files import stage
from ci.catalog.datasets import find
from ci.tools.model import Endpoint, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from forms import Form

# One of each kind of reading and scoring; `nox -s scoring` runs all.
USUAL = {"gpqa", "textvqa"}
SHARES = [
    pytest.param(name, share, marks=[] if name in USUAL and share == 0.7 else pytest.mark.long)
    for name in SCORED
    for share in (0.7, 0.0, 1.0)
]


def job_of(form: Form, folder: Path, bin_folder: str, port: int, **fields: object) -> Job:
    """Lay a dataset out as a night does, from a folder of datasets."""
    root = folder / "datasets"
    asked = {"case_type": "accuracy", "max_out_len": 16, "batch_size": 4, **fields}
    paths = {"dataset_path": form.dataset_path, "dataset_conf": form.dataset_conf}
    benchmark = Benchmark.model_validate({"name": "b", **paths, **asked})
    dataset = find(benchmark, [root])
    stage(dataset, folder / "data")
    (folder / "work").mkdir()
    return Job(
        benchmark,
        replace(dataset, path=str(folder / "data")),
        Endpoint("127.0.0.1", port, MODEL),
        make_tokenizer(folder / "tokenizer"),
        bin_folder,
        str(folder / "work"),
    )


@pytest.mark.parametrize(("name", "share"), SHARES)
def test_each_form_is_scored_exactly(
    name: str, share: float, tmp_path: Path, tool_bin: Callable[[str], str]
) -> None:
    form, bin_folder = SCORED[name], tool_bin("aisbench")
    short = form.dataset_path.rpartition("/")[2]
    questions = form.write(tmp_path / "datasets" / short)
    oracle = Oracle(questions, choose(len(questions), share))
    with serving(oracle) as port:
        result = evaluate(job_of(form, tmp_path, bin_folder, port))
    assert result.problems == ()
    (accuracy,) = result.measurements
    right = len(oracle.right)
    assert accuracy.n == len(questions) == len(result.items)
    assert accuracy.value == pytest.approx(100 * right / len(questions), abs=0.01)
    assert {item.correct for item in result.items} <= {True, False}
    assert sum(item.correct is True for item in result.items) == right
    assert set(oracle.asked) == set(range(len(questions)))


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.long) for name in TIMED])
def test_each_form_is_timed(name: str, tmp_path: Path, tool_bin: Callable[[str], str]) -> None:
    form, bin_folder = TIMED[name], tool_bin("aisbench")
    questions = form.write(tmp_path / "datasets" / form.dataset_path.rpartition("/")[2])
    oracle = Oracle(questions, frozenset(range(len(questions))))
    with serving(oracle) as port:
        job = job_of(form, tmp_path, bin_folder, port, case_type="performance", num_prompts=ITEMS)
        result = evaluate(job)
    assert result.problems == ()
    figures = {figure.metric: figure for figure in result.measurements}
    assert figures["output_token_throughput"].n == ITEMS
