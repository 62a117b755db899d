"""EvalScope's own datasets with data from a folder, against a server that knows the answers."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from answer_server import MODEL, Oracle, Question, choose, serving
from forms import NUMBERS, lines, sheet
from run_tool import evaluate

from ci.case.benchmark import Benchmark
from ci.catalog.dataset_files import stage
from ci.catalog.datasets import find
from ci.errors import UserError
from ci.tools.evalscope_data import DATASETS
from ci.tools.model import Endpoint, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUBSETS = """
import importlib, json, sys
from evalscope.api.registry import BENCHMARK_REGISTRY, get_benchmark
from evalscope.config import TaskConfig
found = {}
for name in sys.argv[1:]:
    get_benchmark(name, TaskConfig(model="m", datasets=[name]))
    meta = BENCHMARK_REGISTRY[name]
    found[name] = [meta.subset_list, meta.eval_split, meta.train_split, meta.few_shot_num]
print(json.dumps(found))
"""
REPLIES = ("Let us think.\nANSWER: B", "Let us think.\nANSWER: D")
CHINESE = ("答案: B", "答案: D")
PENS = ["red", "blue", "green", "black"]


@pytest.fixture(scope="module")
def metas(tool_bin: Callable[[str], str]) -> dict[str, Any]:
    """Return subsets, splits and number of examples of each dataset, as EvalScope has them."""
    python = f"{tool_bin('evalscope')}/python"
    found = subprocess.run(
        [python, "-c", SUBSETS, *DATASETS], capture_output=True, text=True, check=True
    )
    return json.loads(found.stdout.splitlines()[-1])


def asked(name: object) -> str:
    return f"Which pen of {name} is right?"


def arc(folder: Path, subsets: list[str]) -> tuple[Question, ...]:
    """As a copy has it that is no snapshot of a hub: a folder for each configuration."""
    choices = {"text": PENS, "label": list("ABCD")}
    for name in subsets:
        rows = [
            {"id": str(n), "question": asked(f"{name} {n}"), "choices": choices, "answerKey": "B"}
            for n in NUMBERS
        ]
        lines(folder / name / "test.jsonl", rows)
    return tuple(
        Question(asked(f"{name} {n}"), replies=REPLIES) for name in subsets for n in NUMBERS
    )


def mmlu(folder: Path, subsets: list[str]) -> tuple[Question, ...]:
    """As the hub has it: a README that names the files of the configuration."""
    rows = [
        {"question": asked(name), "subject": name, "choices": PENS, "answer": 1} for name in subsets
    ]
    lines(folder / "all" / "test.jsonl", rows)
    shots = [{**row, "question": f"Which ink of {row['subject']}?"} for row in rows]
    lines(folder / "all" / "dev.jsonl", shots * 5)
    files = [{"split": each, "path": f"all/{each}.jsonl"} for each in ("dev", "test")]
    head = f"configs:\n- config_name: all\n  data_files: {json.dumps(files)}"
    (folder / "README.md").write_text(f"---\n{head}\n---\n# Ours\n")
    return tuple(Question(asked(name), replies=REPLIES) for name in subsets)


def mmlu_pro(folder: Path, subsets: list[str]) -> tuple[Question, ...]:
    rows = [
        {"question_id": at, "question": asked(name), "options": PENS, "answer": "B"}
        | {"category": name, "cot_content": "A: Let us think. The answer is (B)."}
        for at, name in enumerate(subsets)
    ]
    lines(folder / "test.jsonl", rows)
    shots = [{**row, "question": f"Which ink of {row['category']}?"} for row in rows]
    lines(folder / "validation.jsonl", shots * 5)
    return tuple(Question(asked(name), replies=REPLIES) for name in subsets)


def ceval(folder: Path, subsets: list[str]) -> tuple[Question, ...]:
    """As AISBench has it: a file for each subject; the options of a subject may be numbers."""
    head = ("id", "question", *"ABCD", "answer", "explanation")
    for name in subsets:
        for split in ("dev", "val", "test"):
            text = asked(name) if split != "dev" else f"Which ink of {name}?"
            row = (0, text, 1, 2, 3, 4, "B", "Look.")
            sheet(folder / "formal_ceval" / split / f"{name}_{split}.csv", [head, *[row] * 5])
        sheet(
            folder / "formal_ceval" / "val" / f"{name}_val.csv", [head, (0, asked(name), *row[2:])]
        )
    return tuple(Question(asked(name), replies=CHINESE) for name in subsets)


@dataclass(frozen=True)
class Asked:
    """A dataset: what writes its data, and what the case says besides."""

    write: Callable[[Path, list[str]], tuple[Question, ...]]
    fields: dict[str, Any] = field(default_factory=dict)


FORMS = {
    "arc": Asked(arc),
    "ceval": Asked(ceval),
    "mmlu": Asked(mmlu),
    "mmlu_pro": Asked(mmlu_pro, {"num_fewshot": 1}),
}
# One share of each; `nox -s scoring` asks for the others.
SHARES = [
    pytest.param(name, share, marks=[] if (name, share) == ("arc", 0.7) else pytest.mark.long)
    for name in FORMS
    for share in (0.7, 0.0, 1.0)
]


def benchmark_of(name: str, **fields: object) -> Benchmark:
    usual = {"case_type": "accuracy", "tool": "evalscope", "max_out_len": 64, "batch_size": 4}
    usual |= {"dataset_conf": name, "dataset_path": "own/data"}
    return Benchmark.model_validate({"name": "b", **usual, **fields})


@pytest.mark.long
def test_the_datasets_are_those_of_evalscope(metas: dict[str, Any]) -> None:
    for name, own in DATASETS.items():
        subsets, test, examples, shots = metas[name]
        expected = (own.sets, own.test, own.examples, own.shots)
        assert (len(subsets), test, examples, shots) == expected
        if own.sets == len(own.configs):
            assert list(own.configs) == subsets


@pytest.mark.parametrize(("name", "share"), SHARES)
def test_a_dataset_is_scored_exactly(
    name: str,
    share: float,
    tmp_path: Path,
    tool_bin: Callable[[str], str],
    metas: dict[str, Any],
) -> None:
    form = FORMS[name]
    questions = form.write(tmp_path / "datasets" / "data", metas[name][0])
    benchmark = benchmark_of(name, **form.fields)
    dataset = find(benchmark, [tmp_path / "datasets"])
    stage(dataset, tmp_path / "data")
    (tmp_path / "work").mkdir()
    oracle = Oracle(questions, choose(len(questions), share))
    with serving(oracle) as port:
        job = Job(
            benchmark,
            replace(dataset, path=str(tmp_path / "data")),
            Endpoint("127.0.0.1", port, MODEL),
            "",
            tool_bin("evalscope"),
            str(tmp_path / "work"),
        )
        result = evaluate(job)
    assert result.problems == ()
    (accuracy,) = result.measurements
    right = len(oracle.right)
    assert accuracy.n == len(questions) == len(result.items)
    assert accuracy.value == pytest.approx(100 * right / len(questions))
    assert sum(item.correct is True for item in result.items) == right
    assert len({item.id for item in result.items}) == len(questions)
    assert len({item.prompt_digest for item in result.items} - {None}) == len(questions)
    assert set(oracle.asked) == set(range(len(questions)))


@pytest.mark.parametrize("lost", ["ARC-Easy", "ARC-Challenge"])
def test_data_without_one_of_its_configurations_is_not_taken_for_it(
    lost: str, tmp_path: Path
) -> None:
    arc(tmp_path / "data", [name for name in DATASETS["arc"].configs if name != lost])
    with pytest.raises(UserError, match="split test of ARC-Easy"):
        find(benchmark_of("arc"), [tmp_path])


def test_examples_have_to_be_there_if_they_are_asked_for(tmp_path: Path) -> None:
    arc(tmp_path / "data", list(DATASETS["arc"].configs))
    assert find(benchmark_of("arc"), [tmp_path]).sets == 2
    with pytest.raises(UserError, match="split train of ARC-Easy"):
        find(benchmark_of("arc", num_fewshot=2), [tmp_path])
