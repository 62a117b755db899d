from __future__ import annotations

import builtins
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, edited, job

from ci.case.benchmark import Entry
from ci.errors import UserError
from ci.reference.meanings import meaning_of
from ci.tools.aisbench import command, parse
from ci.tools.aisbench_scores import by_id, correct_items, mean_score
from ci.tools.model import Dataset, Endpoint
from ci.tools.registry import TOOLS
from ci.vllm.command_line import option

if TYPE_CHECKING:
    from collections.abc import Callable


def configured(text: str) -> dict[str, Any]:
    """Run a configuration as AISBench does, with a stand-in for its built-in datasets."""
    asked: list[str] = []

    def pointed(found: list[dict[str, Any]], path: str, abbr: str, *_: object) -> object:
        return [{**entry, "path": path, "abbr": abbr} for entry in found]

    def give(name: str, **_: object) -> SimpleNamespace:
        if name == "lamplighter_layout":
            return SimpleNamespace(entries=pointed)
        asked.append(name)
        return SimpleNamespace(some_datasets=[{"abbr": "gsm8k", "path": "theirs", "type": "T"}])

    scope: dict[str, Any] = {"__builtins__": {**vars(builtins), "__import__": give}}
    exec(text, scope)  # noqa: S102 - what AISBench does with it
    return scope | {"asked": asked}


def test_accuracy_is_read_item_by_item() -> None:
    result = parse(job("aisbench"), captured("aisbench_accuracy"))
    assert result.problems == ()
    (accuracy,) = result.measurements
    assert (accuracy.metric, accuracy.value, accuracy.unit, accuracy.n) == ("accuracy", 75, "%", 4)
    assert [(i.id, i.correct) for i in result.items] == [
        ("0", True),
        ("1", True),
        ("2", False),
        ("3", True),
    ]


def test_each_item_has_the_data_that_the_server_reported() -> None:
    output = captured("aisbench_accuracy")
    uuid = output.rows("out/*/predictions/served/words.jsonl")[1]["uuid"]
    # A stream tells the reason and the count apart; a retry's last word counts.
    answers = [
        {"uuid": uuid, "finish_reason": "stop", "tokens": 3},
        {"uuid": uuid, "finish_reason": "length", "tokens": None},
        {"uuid": uuid, "finish_reason": None, "tokens": 7},
        {"uuid": "of no item", "finish_reason": "stop", "tokens": 1},
    ]
    lines = "".join(json.dumps(row) + "\n" for row in answers)
    result = parse(job("aisbench"), replace(output, files={**output.files, "answers.jsonl": lines}))
    # The server reports no finish reason for the others.
    assert result.problems == ("3 of 4 answers were cut off; see the server's log",)
    assert [(i.tokens, i.finish_reason) for i in result.items] == [
        (None, None),
        (7, "length"),
        (None, None),
        (None, None),
    ]


@pytest.mark.parametrize("tokens", [0, -1, 0.0, None, "5"])
def test_a_stream_without_a_token_is_a_problem(tokens: object) -> None:
    output = captured("aisbench_performance")
    (name,) = (name for name in output.files if name.endswith("_details.jsonl"))
    rows = [json.loads(line) for line in output.files[name].splitlines()]
    rows[1]["output_tokens"] = tokens
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    broken = replace(output, files={**output.files, name: lines})
    result = parse(job("aisbench", "performance"), broken)
    assert result.problems == ("1 of 4 requests got no token; see the server's log",)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"uuid": [1]}\n', "1" * 5000])
def test_an_invalid_answer_file_is_a_problem(text: str) -> None:
    output = captured("aisbench_accuracy")
    result = parse(job("aisbench"), replace(output, files={**output.files, "answers.jsonl": text}))
    assert result.problems


def test_performance_is_read_with_its_units() -> None:
    result = parse(job("aisbench", "performance"), captured("aisbench_performance"))
    assert result.problems == ()
    figures = {figure.metric: (figure.value, figure.unit) for figure in result.measurements}
    assert len(figures) == 21
    assert (figures["input_tokens"], figures["e2el_p90"]) == ((36, "tokens"), (7.9, "ms"))
    assert figures["output_token_throughput"] == (684.9517, "tok/s")
    assert figures["request_throughput"] == (136.9903, "req/s")
    assert figures["e2el_mean"] == (5.8, "ms")
    assert figures["e2el_p50"] == (5.3, "ms")
    assert [item.tokens for item in result.items] == [5, 5, 5, 5]


def test_seconds_become_milliseconds() -> None:
    output = edited(
        captured("aisbench_performance"), "words.csv", lambda text: text.replace("5.8 ms", "5.8 s")
    )
    result = parse(job("aisbench", "performance"), output)
    figures = {figure.metric: figure.value for figure in result.measurements}
    assert figures["e2el_mean"] == pytest.approx(5800)
    assert result.problems == ()


def total(key: str, value: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | {key: {"total": value}})


def without_last_line(text: str) -> str:
    return "\n".join(text.splitlines()[:-1]) + "\n"


@pytest.mark.parametrize(
    ("ending", "change", "problem"),
    [
        (
            ".csv",
            lambda t: t.replace("accuracy,gen,75.00", "-,-,-"),
            "the score '-', expected a number",
        ),
        (".csv", lambda t: t.replace("75.00", "nan"), "expected a number"),
        (".csv", lambda t: t.replace("75.00", "70.00"), "70 %, but 3 of 4 are correct"),
        (".csv", lambda t: t.splitlines()[0], "0 rows for words"),
        (".csv", None, "wrote no out/*/summary"),
        (".jsonl", None, "wrote no out/*/predictions"),
        (".jsonl", without_last_line, "3 predictions, expected 4"),
        (".jsonl", lambda _: "", "0 predictions, expected 4"),
        (".jsonl", lambda t: t + t.splitlines()[0], "5 predictions, expected 4"),
        (".jsonl", lambda t: t.replace('"success": true', '"success": false', 1), "1 of 4 predict"),
        (".jsonl", lambda t: t.replace('"success": true, ', "", 1), "were not successful"),
        (".jsonl", lambda t: t.replace('"prediction": "', '"prediction": "", "x": "', 1), "empty"),
        (".jsonl", lambda t: t[:-20], "is not JSON"),
        (".jsonl", lambda _: "[1]\n", "expected a JSON object, found list"),
        ("words.json", None, "wrote no out/*/results"),
        ("words.json", lambda _: "<html>", "is not JSON"),
    ],
)
def test_an_incomplete_accuracy_run_is_a_problem(
    ending: str,
    change: Callable[[str], str] | None,
    problem: str,
) -> None:
    output = edited(captured("aisbench_accuracy"), ending, change)
    assert problem in "; ".join(parse(job("aisbench"), output).problems)


@pytest.mark.parametrize(
    ("ending", "change", "problem"),
    [
        ("words.json", None, "wrote no out/*/performances"),
        ("words.json", lambda t: t.replace(" token/s", " token/h"), "a unit of tok/s"),
        ("words.json", lambda t: t.replace(" token/s", ""), "a unit of tok/s"),
        ("words.json", lambda t: t.replace(" token/s", " ms"), "a unit of tok/s"),
        (
            "words.json",
            lambda t: t.replace("Output Token Throughput", "X"),
            "None, expected a number",
        ),
        ("words.json", total("Failed Requests", 1), "1 of 4 requests failed"),
        ("words.json", total("Success Requests", 3), "3 requests succeeded, expected 4"),
        ("words.json", total("Total Generated Tokens", 0), "no output token"),
        ("words.json", lambda t: t.replace("Failed Requests", "X"), "Failed Requests is None"),
        ("words.json", lambda _: "not json", "is not JSON"),
        ("words.csv", None, "wrote no out/*/performances"),
        ("words.csv", lambda t: t.replace(" ms", " parsecs"), "a unit of ms"),
        ("words.csv", lambda t: t.replace("TTFT", "X"), "no row TTFT"),
        ("words.csv", lambda t: t.replace("Average", "Mean"), "None, expected a number"),
        (".jsonl", None, "wrote no out/*/performances"),
        (".jsonl", without_last_line, "3 requests, expected 4"),
        (".jsonl", lambda t: t.replace('"success": true', '"success": 0', 1), "1 of 4 requests"),
    ],
)
def test_an_incomplete_performance_run_is_a_problem(
    ending: str,
    change: Callable[[str], str] | None,
    problem: str,
) -> None:
    output = edited(captured("aisbench_performance"), ending, change)
    assert problem in "; ".join(parse(job("aisbench", "performance"), output).problems)


@pytest.mark.parametrize("folder", ["aisbench_accuracy", "aisbench_performance"])
@pytest.mark.parametrize(("code", "message"), [(1, "exited with 1"), (None, "was killed")])
def test_a_bad_exit_is_a_problem_even_with_figures(
    folder: str, code: int | None, message: str
) -> None:
    output = replace(captured(folder), exit_code=code, log="first\nthe reason\n\n")
    result = parse(job("aisbench", folder.split("_")[1]), output)
    assert result.problems == (f"aisbench {message}: the reason",)


def test_failed_requests_are_named_with_the_first_reason() -> None:
    output = captured("aisbench_accuracy")
    failed = {"out/x/predictions/served/words_failed.jsonl": '{"error_info": "404 no model"}\n'}
    result = parse(job("aisbench"), replace(output, files={**output.files, **failed}))
    assert result.problems == ("1 request failed: 404 no model",)


def test_the_questions_of_several_sets_are_asked_at_once() -> None:
    asked = job("aisbench")
    several = replace(asked, dataset=replace(asked.dataset, sets=57))
    assert "--merge-ds" in command(several).argv
    assert "--merge-ds" not in command(asked).argv


def test_several_sets_have_no_figure_of_performance() -> None:
    timed = job("aisbench", "performance")
    with pytest.raises(UserError, match="times each of the 52 sets"):
        command(replace(timed, dataset=replace(timed.dataset, sets=52)))


def test_several_sets_are_scored_in_one_process() -> None:
    asked = job("aisbench")
    several = command(replace(asked, dataset=replace(asked.dataset, sets=57)))
    runner = configured(several.files["config/run.py"])["eval"]["runner"]
    module, _, name = runner["type"].rpartition(".")
    assert (f"python/{module}.py" in several.files, name) == (True, "OneProcess")
    assert "eval" not in configured(command(asked).files["config/run.py"])


def test_the_configuration_matches_the_case() -> None:
    asked = job("aisbench", temperature=0.5, top_k=20, seed=7, request_rate=1.5)
    made = command(asked)
    scope = configured(made.files["config/run.py"])
    (model,) = scope["models"]
    base = "ais_bench.benchmark.configs.datasets."
    assert scope["asked"] == [base + "gsm8k.gsm8k_gen_0_shot_cot_chat_prompt"]
    assert scope["datasets"] == [{"abbr": "words", "path": "/w/data", "type": "T"}]
    assert model["generation_kwargs"] == {"temperature": 0.5, "top_k": 20, "seed": 7}
    assert (model["url"], model["model"], model["stream"]) == (
        "http://10.0.0.1:8000",
        "qwen",
        False,
    )
    assert (model["max_out_len"], model["batch_size"], model["request_rate"]) == (64, 4, 1.5)
    assert made.argv[:2] == ("/env/bin/ais_bench", "/w/work/config/run.py")
    assert made.argv[-2:] == ("--num-prompts", "4")
    assert "--dump-eval-details" in made.argv


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ({"min_p": 0.0, "presence_penalty": 1.5}, {"min_p": 0, "presence_penalty": 1.5}),
        ({"temperature": "0", "top_k": "-1"}, {"temperature": 0, "top_k": -1}),
        ({"stop": "END"}, {"stop": ["END"]}),
        ({"thinking": "true"}, {"chat_template_kwargs": {"thinking": True}}),
        ({"thinking": False}, {"chat_template_kwargs": {"thinking": False}}),
        (
            {"enable_thinking": "false", "chat_template_kwargs": {"effort": "low"}},
            {"chat_template_kwargs": {"enable_thinking": False, "effort": "low"}},
        ),
        ({"do_sample": True, "logprobs": 1}, {}),
    ],
)
def test_every_request_has_the_options_of_the_case(
    written: dict[str, Any], sent: dict[str, Any]
) -> None:
    made = command(job("aisbench", "performance", **written))
    (model,) = configured(made.files["config/run.py"])["models"]
    assert model["generation_kwargs"] == {"temperature": 0.0, "ignore_eos": True, **sent}


def test_accuracy_has_the_defaults_of_vllm_ascends_runner() -> None:
    (model,) = configured(command(job("aisbench")).files["config/run.py"])["models"]
    assert model["generation_kwargs"] == {"temperature": 0.6}


def sent_temperature(tool: str, case_type: str, **written: Any) -> float:
    """Return the temperature in the configuration of a tool."""
    made = TOOLS[tool].command(job(tool, case_type, **written))
    if tool == "vllm_bench":
        return float(option(made.argv, "--temperature") or "nan")
    if tool == "lm_eval":
        (task,) = (json.loads(text) for text in made.files.values() if "temperature" in text)
        return float(task["generation_kwargs"]["temperature"])
    (model,) = configured(made.files["config/run.py"])["models"]
    return float(model["generation_kwargs"]["temperature"])


@pytest.mark.parametrize(
    ("tool", "case_type", "unasked", "documented"),
    [
        ("aisbench", "accuracy", 0.6, "for accuracy: 0.6 with `aisbench`"),
        ("lm_eval", "accuracy", 0.0, "and 0 with `lm_eval`"),
        ("aisbench", "performance", 0.0, "for performance: 0."),
        ("vllm_bench", "performance", 0.0, "for performance: 0."),
    ],
)
def test_the_reference_has_the_temperature_that_is_sent(
    tool: str, case_type: str, unasked: float, documented: str
) -> None:
    assert sent_temperature(tool, case_type) == unasked
    assert sent_temperature(tool, case_type, temperature=0) == 0
    assert sent_temperature(tool, case_type, temperature=0.9) == 0.9
    assert documented in meaning_of("Entry", "temperature")


def test_no_pred_scores_raw_answers() -> None:
    for no_pred, expected in ((None, True), (False, True), (True, False)):
        made = command(job("aisbench", no_pred=no_pred))
        (model,) = configured(made.files["config/run.py"])["models"]
        assert ("pred_postprocessor" in model) is expected


def test_a_local_dataset_has_priority() -> None:
    entry = Entry(
        case_type="accuracy",
        dataset_path_local="local/words",
        max_out_len=1,
        batch_size=1,
        baseline=1,
        threshold=1,
    )
    assert entry.dataset_path == "local/words"


def test_performance_streams_and_needs_the_tokenizer() -> None:
    made = command(job("aisbench", "performance", dataset_conf="aime2024/aime2024_gen_0_shot_str"))
    scope = configured(made.files["config/run.py"])
    (model,) = scope["models"]
    assert (model["stream"], model["path"]) == (True, "/models/qwen")
    assert model["generation_kwargs"] == {"temperature": 0.0, "ignore_eos": True}
    assert scope["summarizer"]["attr"] == "performance"
    assert made.argv[made.argv.index("--mode") + 1] == "perf"
    assert scope["asked"][0].endswith(".aime2024.aime2024_gen_0_shot_str")


def test_aime_has_its_own_configuration() -> None:
    dataset = Dataset("aime2024", "/w/data", "aime2024", 30)
    made = command(job("aisbench", num_prompts=None, dataset=dataset))
    scope = configured(made.files["config/run.py"])
    assert scope["asked"][0].endswith(".aime2024.aime2024_gen_0_shot_chat_prompt")
    assert made.argv[-2:] == ("--num-prompts", "30")


def test_text_of_a_case_never_becomes_code() -> None:
    nasty = "'\"]; raise SystemExit('owned') #\n{model!r}"
    dataset = Dataset(nasty, "/w/" + nasty, "gsm8k", 4)
    made = command(job("aisbench", endpoint=Endpoint("h", 1, nasty), dataset=dataset))
    scope = configured(made.files["config/run.py"])
    assert scope["models"][0]["model"] == nasty
    assert scope["datasets"][0]["path"] == "/w/" + nasty
    assert set(scope["datasets"][0]["abbr"]) <= set("_.-abcdefghijklmnopqrstuvwxyzSE")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"request_conf": "vllm_api_generall"}, "vllm_api_general_chat"),
        ({"dataset_conf": "gsm8k"}, "FOLDER/NAME"),
        ({"dataset_conf": "gsm8k/../../x"}, "FOLDER/NAME"),
        ({"dataset_conf": "gsm8k/x\nimport os"}, "FOLDER/NAME"),
        ({"dataset": Dataset("d", "/d", "unheard", 4)}, "FOLDER/NAME"),
    ],
)
def test_options_unknown_to_aisbench_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        command(job("aisbench", **changes))


def test_details_are_read_as_a_mapping_and_as_a_list() -> None:
    right, wrong = {"correct": [True]}, {"passed": False}
    assert by_id({"0": right}) == {"0": right}
    listed = [{"example_abbr": "humaneval_test_0", **right}, {"example_abbr": "h_1", **wrong}, 3]
    assert set(by_id(listed)) == {"0", "1"}
    assert correct_items(list(by_id(listed).values()), 50) == [True, False]
    assert by_id("x") == {}


@pytest.mark.parametrize(
    ("answers", "percent", "correct"),
    [
        (["A", "B"], 50, [True, False]),
        (["B", "B"], 0, [False, False]),
        (["A", "B"], 70, [None, None]),  # equal is not what the score counts
    ],
)
def test_where_only_both_answers_are_noted_equal_ones_are_correct(
    answers: list[str], percent: float, correct: list[bool | None]
) -> None:
    details = [{"predictions": answer, "references": "A"} for answer in answers]
    assert correct_items(details, percent) == correct


def test_several_sets_are_one_score_with_the_weight_of_their_items() -> None:
    assert mean_score({"a": (50.0, 2), "b": (100.0, 6)}, [None] * 8) == 87.5
    assert mean_score({"a": (33.33, 3), "b": (0.0, 1)}, [True, False, False, False]) == 25
    assert mean_score({"a": (33.33, 3)}, [True, False, False]) == 33.33
