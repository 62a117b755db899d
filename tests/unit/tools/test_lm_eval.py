from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, edited, job, with_value

from ci.errors import UserError
from ci.tools.lm_eval import FORMS, command, parse
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable

TASK = "lamplighter_gsm8k"


def test_accuracy_is_read_item_by_item() -> None:
    result = parse(job("lm_eval"), captured("lm_eval_accuracy"))
    assert result.problems == ()
    (accuracy,) = result.measurements
    assert (accuracy.metric, accuracy.value, accuracy.unit, accuracy.n) == ("accuracy", 75, "%", 4)
    assert [(i.id, i.correct) for i in result.items] == [
        ("0", True),
        ("1", True),
        ("2", False),
        ("3", True),
    ]


def first_row(**values: object) -> Callable[[str], str]:
    def change(text: str) -> str:
        first, *others = text.splitlines()
        return "\n".join([json.dumps(json.loads(first) | values), *others])

    return change


@pytest.mark.parametrize(
    ("ending", "change", "problem"),
    [
        (".json", None, "wrote no out/*/results"),
        (".json", lambda t: t[:-5], "is not JSON"),
        (".json", with_value("n-samples", TASK, "effective", value=3), "3 items were scored"),
        (".json", with_value("n-samples", TASK, "effective", value="4"), "not a number"),
        (".json", with_value("n-samples", value={}), "have no n-samples.lamplighter_gsm8k"),
        (".json", with_value("results", TASK, value={}), "exact_match,answer"),
        (".json", with_value("results", TASK, value=None), "exact_match,answer"),
        (
            ".json",
            with_value("results", TASK, "exact_match,answer", value=float("nan")),
            "not a number",
        ),
        (".json", with_value("results", TASK, "exact_match,answer", value=0.5), "50 %, but 3 of 4"),
        (".jsonl", None, "wrote no out/*/samples"),
        (".jsonl", lambda t: "\n".join(t.splitlines()[1:]), "3 samples were written, expected 4"),
        (".jsonl", lambda _: "", "0 samples were written"),
        (".jsonl", lambda t: t[:-5], "is not JSON"),
        (".jsonl", first_row(resps=[[""]]), "1 of 4 responses are empty"),
        (".jsonl", first_row(resps=[[None]]), "1 of 4 responses are empty"),
        (".jsonl", first_row(resps=[]), "1 of 4 responses are empty"),
        (".jsonl", first_row(exact_match=None), "but 2 of 4 items are correct"),
    ],
)
def test_an_incomplete_run_is_a_problem(
    ending: str,
    change: Callable[[str], str] | None,
    problem: str,
) -> None:
    output = edited(captured("lm_eval_accuracy"), ending, change)
    assert problem in "; ".join(parse(job("lm_eval"), output).problems)


@pytest.mark.parametrize(("code", "message"), [(1, "exited with 1"), (None, "was killed")])
def test_a_bad_exit_is_a_problem_even_with_figures(code: int | None, message: str) -> None:
    output = replace(captured("lm_eval_accuracy"), exit_code=code, log="")
    assert parse(job("lm_eval"), output).problems == (f"lm_eval {message}: no log",)


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        ("gsm8k", "3 and 4 make 7.\nanswer: 7", "7"),
        ("gsm8k", "Answer: $1,234.50 in 3 years", "1,234.50"),
        ("gsm8k", "**answer:** -5", "-5"),
        ("gsm8k", "so\n#### 12", "12"),
        ("gsm8k", "first answer: 1\nno, answer: 2", "2"),
        ("gsm8k", "It takes 3 hours, so 45 in all.", "45"),
        ("gsm8k", "it falls to -12", "-12"),
        ("gsm8k", "10-5", "5"),
        ("gsm8k", "answer: none, though 9 was near", "9"),
        ("gsm8k", "I cannot say.", None),
        ("aime2024", r"thus \boxed{204}.", "204"),
        ("aime2024", r"\boxed{1} or rather \boxed{ 025 } of 1000", "25"),
        ("aime2024", r"\boxed{\text{73}}", "73"),
        ("aime2024", r"\boxed{0}", "0"),
        ("aime2024", "the number is 12, then 113", "113"),
        ("aime2024", "none", None),
    ],
)
def test_the_answer_in_the_text(form: str, text: str, answer: str | None) -> None:
    answers = re.findall(FORMS[form][3], text)
    assert (answers[0] if answers else None) == answer


def test_request_options_are_sent() -> None:
    made = command(job("lm_eval", presence_penalty=1.5, stop=["END"], thinking=True))
    kwargs = json.loads(made.files[f"tasks/{TASK}.yaml"])["generation_kwargs"]
    assert (kwargs["until"], kwargs["presence_penalty"]) == (["END"], 1.5)
    assert kwargs["chat_template_kwargs"] == {"thinking": True}


def test_the_task_and_the_command_match_the_case() -> None:
    asked = job("lm_eval", temperature=0.6, top_p=0.9, seed=3)
    made = command(asked)
    task = json.loads(made.files[f"tasks/{TASK}.yaml"])
    model = json.loads(made.argv[made.argv.index("--model_args") + 1])
    assert task["dataset_kwargs"] == {"data_files": {"test": "/w/data/test.jsonl"}}
    assert task["generation_kwargs"] == {
        "until": [],
        "do_sample": True,
        "temperature": 0.6,
        "max_gen_toks": 64,
        "top_p": 0.9,
    }
    assert model["base_url"] == "http://10.0.0.1:8000/v1/chat/completions"
    assert (model["model"], model["num_concurrent"], model["seed"]) == ("qwen", 4, 3)
    assert made.argv[:2] == ("/env/bin/lm_eval", "run")
    assert made.argv[-2:] == ("--limit", "4")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_conf": "vllm_api_general"}, "vllm_api_general_chat"),
        ({"dataset": Dataset("d", "/d", "unheard", 4)}, "gsm8k, aime2024"),
    ],
)
def test_options_unsupported_by_lm_eval_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command(job("lm_eval", **changes))
