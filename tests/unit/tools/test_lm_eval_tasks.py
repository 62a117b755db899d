"""lm-eval's own tasks: their command, their data, and what contradicts their figures."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, edited, job, with_value

from ci.catalog.datasets import find
from ci.catalog.lm_eval_tasks import task_of
from ci.errors import UserError
from ci.tool_side.local_tasks import ANY, splits_of
from ci.tools.lm_eval import command, parse
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ci.tools.model import Job

DATA = Dataset("words", "/w/data", "lm_eval", 0)


def asked(**changes: Any) -> Job:
    fields = {"dataset_conf": "gsm8k", "num_fewshot": 1, "dataset": DATA, **changes}
    return job("lm_eval", **fields)


def test_the_task_and_its_options_are_in_the_command() -> None:
    made = command(asked(temperature=0.6, num_prompts=3))
    words = " ".join(made.argv)
    assert words.startswith("/env/bin/python /w/work/local_tasks.py run --tasks gsm8k --gen_kwargs")
    assert "--num_fewshot 1 " in words
    assert words.endswith("--limit 3")
    sent = json.loads(made.argv[made.argv.index("--gen_kwargs") + 1])
    assert sent == {"do_sample": True, "temperature": 0.6, "max_gen_toks": 64}  # its own `until`
    assert made.env["LAMPLIGHTER_DATASET"] == "/w/data"
    for name, text in made.files.items():
        compile(text, name, "exec")


def test_keys_of_tasks_are_refused_without_a_task() -> None:
    for key, value in (("num_fewshot", 2), ("filter", "x"), ("metric", "acc")):
        with pytest.raises(UserError, match=f"{key} has an effect only on lm-eval's own tasks"):
            command(job("lm_eval", **{key: value}))


def test_the_first_figure_is_read_item_by_item() -> None:
    result = parse(asked(), captured("lm_eval_task"))
    assert result.problems == ()
    (figure,) = result.measurements
    assert (figure.metric, figure.value, figure.n) == ("accuracy", 75, 4)
    assert [item.correct for item in result.items] == [True, True, False, True]
    assert len({item.prompt_digest for item in result.items} - {None}) == 4
    other = parse(asked(filter="flexible-extract"), captured("lm_eval_task"))
    assert other.items == result.items


def in_rows(pattern: str, replacement: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, replacement, text)


@pytest.mark.parametrize(
    ("ending", "change", "problem"),
    [
        (".json", None, "wrote no out/*/results"),
        (".json", with_value("results", value={}), "have no results.gsm8k"),
        (".json", with_value("n-samples", value={}), "no task in n-samples"),
        (".json", with_value("n-samples", "gsm8k", "effective", value=3), "3 items were scored"),
        (".json", with_value("n-samples", "gsm8k", "original", value="4"), "not a number"),
        (".json", with_value("n-shot", "gsm8k", value=0), "0 examples, not with 1"),
        (
            ".json",
            with_value("results", "gsm8k", "exact_match,strict-match", value=1.0),
            "the score is 100 %, but its items have 75 %",
        ),
        (
            ".json",
            with_value("results", "gsm8k", "exact_match,strict-match", value=float("nan")),
            "not a number",
        ),
        (".jsonl", None, "wrote no out/*/samples_gsm8k"),
        (".jsonl", lambda text: text.split("\n", 1)[1], "3 samples were written, expected 4"),
        (".jsonl", lambda text: text[:-9], "is not JSON"),
        (".jsonl", in_rows('"exact_match": 1.0', '"exact_match": null'), "have no score from 0 t"),
        (".jsonl", in_rows('"doc_id": [0-9]', '"doc_id": 0'), "sample 0 occurs"),
        (".jsonl", in_rows(r'"resps": \[\["[^"]*"\]\]', '"resps": [[""]]'), "responses are empty"),
    ],
)
def test_a_contradiction_is_a_problem(
    ending: str, change: Callable[[str], str] | None, problem: str
) -> None:
    output = edited(captured("lm_eval_task"), ending, change)
    assert problem in "; ".join(parse(asked(), output).problems)


def test_a_metric_that_the_task_lacks_names_those_it_has() -> None:
    (problem,) = parse(asked(metric="acc"), captured("lm_eval_task")).problems
    assert "no figure for metric acc and filter any, only exact_match,strict-match;" in problem


@pytest.mark.parametrize(
    ("name", "near"),
    [("gsm8K", "'gsm8k'"), ("gpqa_diamond_zeroshot", "cannot be asked over the chat"), ("x", "")],
)
def test_an_unknown_task_is_refused(name: str, near: str) -> None:
    with pytest.raises(UserError, match=r"lm-eval .* has no task") as raised:
        task_of(name)
    assert near in str(raised.value)


@pytest.mark.parametrize(
    ("task", "files", "found"),
    [
        ("gsm8k", ["test.jsonl", "train.jsonl"], True),
        ("gsm8k", ["main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet"], True),
        ("gsm8k", ["test.jsonl"], False),  # its prompts have examples of another split
        ("ifeval", ["input_data.jsonl"], True),
        ("aime24", ["test.jsonl"], False),
        ("mmlu_pro", ["data/test-0.parquet", "data/validation-0.parquet"], True),
        ("gsm8k", ["README.txt"], False),
    ],
)
def test_a_folder_is_taken_if_it_has_the_splits(
    task: str, files: list[str], *, found: bool, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_text("{}\n")
    benchmark = asked(dataset_conf=task, num_fewshot=None, dataset_path="mine").benchmark
    if found:
        assert find(benchmark, [tmp_path]).path == str(tmp_path / "mine")
    else:
        with pytest.raises(UserError, match="no folder of that name has split t"):
            find(benchmark, [tmp_path])
    if files == ["test.jsonl"] and task == "gsm8k":
        assert find(benchmark.model_copy(update={"num_fewshot": 0}), [tmp_path]).path


def test_files_belong_to_the_configuration_of_their_name(tmp_path: Path) -> None:
    for name in ("gpqa_diamond.csv", "gpqa_main.csv", "algebra/train.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert splits_of(tmp_path, "gpqa_main") == {ANY: [tmp_path / "gpqa_main.csv"]}
    assert splits_of(tmp_path, "algebra") == {"train": [tmp_path / "algebra" / "train.jsonl"]}
    (tmp_path / "README.md").write_text("---\nconfigs:\n- config_name: main\n---\n")
    assert splits_of(tmp_path, "main") == {ANY: [tmp_path / "README.md"]}
