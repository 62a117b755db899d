"""lm-eval's own tasks with data from a folder, against a server that knows the answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from answer_server import MODEL, Oracle, Question, choose, serving
from forms import NUMBERS, asked, ifeval, lines, sheet
from run_tool import evaluate

from ci.case.benchmark import Benchmark
from ci.catalog.dataset_files import stage
from ci.catalog.datasets import find
from ci.tools.model import Endpoint, Job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CATEGORIES = (
    *("biology", "business", "chemistry", "computer science", "economics", "engineering"),
    *("health", "history", "law", "math", "other", "philosophy", "physics", "psychology"),
)


def gsm8k(folder: Path) -> tuple[Question, ...]:
    """As a copy has it that is no snapshot of the hub: two files, without a README."""
    lines(
        folder / "test.jsonl", [{"question": asked(n), "answer": f"#### {n + 7}"} for n in NUMBERS]
    )
    lines(
        folder / "train.jsonl",
        [{"question": f"{n} + 1?", "answer": f"#### {n + 1}"} for n in NUMBERS],
    )
    return tuple(Question(asked(n), replies=(f"#### {n + 7}", f"#### {n + 8}")) for n in NUMBERS)


def snapshot(folder: Path) -> tuple[Question, ...]:
    """As the hub has it: a README that names the files of each configuration."""
    questions = gsm8k(folder / "main")
    files = [{"split": each, "path": f"main/{each}.jsonl"} for each in ("train", "test")]
    head = f"configs:\n- config_name: main\n  data_files: {json.dumps(files)}"
    (folder / "README.md").write_text(f"---\n{head}\n---\n# Ours\n")
    return questions


def mmlu_pro(folder: Path) -> tuple[Question, ...]:
    rows = [
        {
            "question": f"Which pen of {name} is right?",
            "options": ["red", "blue", "green"],
            "answer": "B",
            "answer_index": 1,
            "cot_content": "A: Let us think. The answer is (B).",
            "category": name,
        }
        for name in CATEGORIES
    ]
    lines(folder / "test.jsonl", rows)
    shots = [{**row, "question": f"Which ink of {row['category']}?"} for row in rows]
    lines(folder / "validation.jsonl", shots * 5)
    replies = ("The answer is (B).", "The answer is (C).")
    return tuple(Question(str(row["question"]), replies=replies) for row in rows)


def humaneval(folder: Path) -> tuple[Question, ...]:
    rows, questions = [], []
    for n in NUMBERS:
        prompt = f'def add{n}(x):\n    """Add {n}."""\n'
        test = f"def check(candidate):\n    assert candidate(1) == {n + 1}\n"
        rows.append({"prompt": prompt, "test": test, "entry_point": f"add{n}", "task_id": str(n)})
        questions.append(
            Question(f"Add {n}.", replies=(f"    return x + {n}\n```", f"    return x - {n}\n```"))
        )
    lines(folder / "HumanEval.jsonl", rows)
    return tuple(questions)


def gpqa(folder: Path) -> tuple[Question, ...]:
    head = ["Question", "Correct Answer", *(f"Incorrect Answer {n}" for n in (1, 2, 3))]
    rows = [[asked(n), "right", "bent", "broken", "wrong"] for n in NUMBERS]
    sheet(folder / "gpqa_diamond.csv", [head, *rows])
    replies = ("The answer is (right)", "The answer is (wrong)")
    return tuple(Question(asked(n), replies=replies) for n in NUMBERS)


class Chooser(Oracle):
    """Says the letter of an option; the task mixes the options."""

    def reply(self, prompt: str, images: tuple[str, ...] = ()) -> str:
        letters = dict(re.findall(r"\(([A-D])\) (\w+)", prompt))
        by_option = {option: letter for letter, option in letters.items()}
        text = super().reply(prompt, images)
        return re.sub(r"\((\w+)\)$", lambda found: f"({by_option[found[1]]})", text)


@dataclass(frozen=True)
class Asked:
    """A task: what writes its data, and what the case says besides."""

    write: Callable[[Path], tuple[Question, ...]]
    fields: dict[str, Any]
    folder: str = "data-of-ours"


TASKS = {
    "gsm8k": Asked(gsm8k, {"num_fewshot": 2, "filter": "flexible-extract"}),
    "gsm8k_cot": Asked(snapshot, {"metric": "exact_match", "filter": "flexible-extract"}),
    "mmlu_pro": Asked(mmlu_pro, {"num_fewshot": 1}, "MMLU-Pro"),
    "humaneval_instruct": Asked(humaneval, {"stop": ["\nNEVER"]}),
    "gpqa_diamond_cot_zeroshot": Asked(gpqa, {"filter": "flexible-extract"}, "gpqa"),
    "ifeval": Asked(ifeval, {}, "IFEval"),
}


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_scored_exactly(
    task: str, tmp_path: Path, tool_bin: Callable[[str], str]
) -> None:
    wanted = TASKS[task]
    questions = wanted.write(tmp_path / "datasets" / wanted.folder)
    fields = {"name": "b", "case_type": "accuracy", "tool": "lm_eval", "dataset_conf": task}
    fields |= {"dataset_path": wanted.folder, "max_out_len": 64, "batch_size": 4, **wanted.fields}
    benchmark = Benchmark.model_validate(fields)
    dataset = find(benchmark, [tmp_path / "datasets"])
    stage(dataset, tmp_path / "data")
    (tmp_path / "work").mkdir()
    server = Chooser if wanted.write is gpqa else Oracle
    oracle = server(questions, choose(len(questions), 0.7))
    with serving(oracle) as port:
        result = evaluate(
            Job(
                benchmark,
                replace(dataset, path=str(tmp_path / "data")),
                Endpoint("127.0.0.1", port, MODEL),
                "",
                tool_bin("lm_eval"),
                str(tmp_path / "work"),
            )
        )
    assert result.problems == ()
    (accuracy,) = result.measurements
    right = len(oracle.right)
    assert accuracy.n == len(questions) == len(result.items)
    assert accuracy.value == pytest.approx(100 * right / len(questions))
    assert sum(item.correct is True for item in result.items) == right
    assert len({item.id for item in result.items}) == len(questions)
    assert len({item.prompt_digest for item in result.items} - {None}) == len(questions)
    assert set(oracle.asked) == set(range(len(questions)))
