"""Test that the answers in what the tools wrote are found by the ids of the items."""

from __future__ import annotations

import json

import pytest
from tool_outputs import captured, job

from ci.tools.answers import FILES, Answer, answers_in
from ci.tools.registry import TOOLS

CAPTURED = {
    "aisbench_accuracy": ("aisbench", "accuracy", {}),
    "aisbench_performance": ("aisbench", "performance", {}),
    "lm_eval_accuracy": ("lm_eval", "accuracy", {}),
    "lm_eval_task": ("lm_eval", "accuracy", {"dataset_conf": "gsm8k"}),
    "evalscope_accuracy": ("evalscope", "accuracy", {}),
    "vllm_bench_performance": ("vllm_bench", "performance", {}),
}


@pytest.mark.parametrize("folder", CAPTURED)
def test_each_item_of_a_tool_has_its_answer(folder):
    tool, kind, changes = CAPTURED[folder]
    output = captured(folder)
    items = TOOLS[tool].parse(job(tool, kind, **changes), output).items
    found = answers_in(tool, output.files, changes.get("dataset_conf", ""))
    assert {item.id for item in items} == found.keys()
    assert len(found) == 4
    assert all(answer.answer for answer in found.values())
    if tool != "vllm_bench":
        assert all("pens" in answer.question for answer in found.values())


def test_an_answer_has_its_question_and_the_right_one():
    found = answers_in("aisbench", captured("aisbench_accuracy").files)
    assert found["2"].answer == "Let me think.\nanswer: \\boxed{13}"
    assert found["2"].expected == "Add.\n#### 12"
    found = answers_in("lm_eval", captured("lm_eval_accuracy").files)
    assert found["0"] == Answer(
        "Ada has 3 pens and buys 7. How many?\n\nWork it out step by step. End with a line "
        '"answer: NUMBER".',
        "Let me think.\nanswer: \\boxed{10}",
        "10",
    )
    assert answers_in("evalscope", captured("evalscope_accuracy").files)["1"].expected == "108"


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_items_of_several_sets_have_the_sets_in_their_ids():
    row = {"id": 0, "prediction": "x"}
    files = {f"out/t/predictions/served/words--{name}.jsonl": lines(row) for name in "ab"}
    failed = {"out/t/predictions/served/words--a_failed.jsonl": lines(row)}
    assert answers_in("aisbench", files | failed).keys() == {"words--a/0", "words--b/0"}
    files = {f"out/m/samples_t_{name}_2026-01-01T00.jsonl": lines({"doc_id": 3}) for name in "ab"}
    assert answers_in("lm_eval", files).keys() == {"t_a/3", "t_b/3"}
    files = {f"out/predictions/m/mmlu_{name}.jsonl": lines({"index": 1}) for name in "ab"}
    assert answers_in("evalscope", files, "mmlu").keys() == {"a/1", "b/1"}


@pytest.mark.parametrize("tool", FILES)
@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "{}", '{"id": [], "messages": [1], "model_output": 2}', "\n\n"]
)
def test_what_cannot_be_read_has_no_answers(tool, text):
    name = FILES[tool][0].replace("*", "x")
    found = answers_in(tool, {name: text})
    assert set(found.values()) <= {Answer("", "", "")}


def test_a_tool_that_is_not_known_has_no_answers():
    assert answers_in("other", {"x": "{}"}) == {}
    assert FILES.keys() == TOOLS.keys()
