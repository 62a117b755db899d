"""EvalScope: its command, its items, and what contradicts its figure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, job

from ci.errors import UserError
from ci.tools.evalscope import command, parse
from ci.tools.model import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.tools.output import Output

CAPTURED = "evalscope_accuracy"


def changed(part: str, change: Callable[[str], str] | None) -> Output:
    """The output with the one file of that folder changed, or taken away."""
    output = captured(CAPTURED)
    (name,) = [name for name in output.files if f"/{part}/" in name]
    files = {key: text for key, text in output.files.items() if key != name}
    if change:
        files[name] = change(output.files[name])
        assert files[name] != output.files[name]
    return replace(output, files=files)


def replaced(pattern: str, text: str, count: int = 1) -> Callable[[str], str]:
    return lambda whole: re.sub(pattern, text, whole, count=count)


def test_accuracy_is_read_item_by_item() -> None:
    result = parse(job("evalscope"), captured(CAPTURED))
    assert result.problems == ()
    (figure,) = result.measurements
    assert (figure.metric, figure.value, figure.unit, figure.n) == ("accuracy", 75, "%", 4)
    assert [(item.id, item.correct) for item in result.items] == [
        ("0", True),
        ("1", True),
        ("2", False),
        ("3", True),
    ]
    assert all(item.tokens == 5 and item.finish_reason == "stop" for item in result.items)
    assert len({item.prompt_digest for item in result.items} - {None}) == 4


@pytest.mark.parametrize(
    ("part", "change", "problem"),
    [
        ("reports", None, "wrote no out/reports"),
        ("reports", lambda text: text[:-9], "is not JSON"),
        ("reports", replaced('"metrics"', '"figures"'), "has not one metric"),
        ("reports", replaced('"score": 0.75', '"score": 1.0'), "100 %, but 3 of 4 items are"),
        ("reports", replaced('"score": 0.75', '"score": NaN'), "is nan, not a number"),
        ("reports", replaced('"num": 4', '"num": 3'), "3 items were scored, with 4 answers and 4"),
        ("reviews", None, "wrote no out/reviews"),
        ("reviews", lambda text: text.split("\n", 1)[1], "with 4 answers and 3 reviews"),
        ("reviews", replaced('"index": [0-9]', '"index": 1', 9), "the item 1 occurs 4 times"),
        ("reviews", replaced(r'"accuracy": 1\.0', '"accuracy": 0.5'), "items were not scored"),
        ("reviews", replaced(r'"accuracy": 1\.0', '"accuracy": 0.0'), "but 2 of 4 items are corr"),
        ("reviews", replaced('"value"', '"values"'), "KeyError"),
        ("reviews", replaced("Ada has 10[0-9]", "Ada has 1", 9), "4 items have only 1 prompts"),
        ("predictions", None, "wrote no out/predictions"),
        ("predictions", lambda text: text.split("\n", 1)[1], "with 3 answers"),
        (
            "predictions",
            replaced(r'("usage": \{"input_tokens": 21, "output_tokens": )5', r"\g<1>0"),
            "1 of 4 answers have no token",
        ),
        (
            "predictions",
            replaced('"output_tokens": 5, "total', '"output_tokens": -1, "total'),
            "-1",
        ),
    ],
)
def test_a_contradiction_is_a_problem(
    part: str, change: Callable[[str], str] | None, problem: str
) -> None:
    assert problem in "; ".join(parse(job("evalscope"), changed(part, change)).problems)


@pytest.mark.parametrize(("code", "message"), [(1, "exited with 1"), (None, "was killed")])
def test_a_bad_exit_is_a_problem_even_with_figures(code: int | None, message: str) -> None:
    output = replace(captured(CAPTURED), exit_code=code, log="")
    assert parse(job("evalscope"), output).problems == (f"evalscope {message}: no log",)


def option(argv: tuple[str, ...], name: str) -> Any:
    return json.loads(argv[argv.index(name) + 1])


def test_the_command_matches_the_case() -> None:
    fields = {"temperature": 0.6, "stop": ["END"], "min_p": 0.1, "thinking": True, "seed": 3}
    made = command(job("evalscope", request_conf="vllm_api_stream_chat", **fields))
    assert made.argv[:2] == ("/env/bin/evalscope", "eval")
    assert option(made.argv, "--generation-config") == {
        "max_tokens": 64,
        "retries": 1,
        "timeout": 14400.0,
        "retry_interval": 1,
        "stream": True,
        "temperature": 0.6,
        "seed": 3,
        "stop_seqs": ["END"],
        "extra_body": {"min_p": 0.1, "chat_template_kwargs": {"thinking": True}},
    }
    assert option(made.argv, "--dataset-args")["gsm8k"]["dataset_id"] == "/w/data"
    assert (option(made.argv, "--limit"), option(made.argv, "--eval-batch-size")) == (4, 4)
    assert made.sampling["chat_template_kwargs"] == {"thinking": True}
    assert made.argv[made.argv.index("--api-key") + 1] == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_conf": "vllm_api_general"}, "vllm_api_general_chat"),
        ({"dataset": Dataset("d", "/d", "aime2024", 4)}, "needs a dataset_conf for a dataset of"),
        ({"dataset_conf": "cevl"}, "did you mean 'ceval'[?], or use tool: aisbench or lm_eval"),
        ({"num_fewshot": 4}, "measures GSM8K without examples; remove num_fewshot"),
    ],
)
def test_options_unsupported_by_evalscope_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        command(job("evalscope", **changes))


def test_a_dataset_of_evalscope_is_read_from_the_folder() -> None:
    """By a program of ours, with EvalScope's number of examples unless the case has one."""
    own = {"dataset_conf": "mmlu", "dataset": Dataset("d", "/d", "evalscope", 0, 57)}
    made = command(job("evalscope", num_prompts=2, **own))
    assert made.argv[1:3] == ("/w/work/local_evalscope.py", "eval")
    assert made.files.keys() == {"local_evalscope.py", "local_tasks.py"}
    assert made.env["LAMPLIGHTER_DATASET"] == "/d"
    data = {"dataset_id": "/d", "few_shot_num": 5}
    assert option(made.argv, "--dataset-args") == {"mmlu": data}
    assert option(made.argv, "--limit") == 2
    none = command(job("evalscope", num_fewshot=0, **own))
    assert option(none.argv, "--dataset-args") == {"mmlu": data | {"few_shot_num": 0}}


def test_a_dataset_without_a_subset_has_no_figure() -> None:
    own = {"dataset_conf": "arc", "dataset": Dataset("d", "/d", "evalscope", 0, 2)}
    result = parse(job("evalscope", **own), captured(CAPTURED))
    assert "1 subsets, expected 2; is the data whole?" in "; ".join(result.problems)
    assert result.measurements == ()
