"""Test that results that contradict themselves are unknown, never pass or fail."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tool_outputs import captured, edited, job, with_values

from ci.judge.verdict import judge
from ci.tools import aisbench, lm_eval, vllm_bench
from ci.tools.aisbench_totals import ignores_eos
from ci.tools.consistent import backed_by_items, different_prompts
from ci.tools.model import Dataset, Result, items_asked

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.tools.model import Job
    from ci.tools.output import Output


def assert_unknown(asked: Job, result: Result, problem: str) -> None:
    assert problem in "; ".join(result.problems)
    assert "\n" not in "".join(result.problems)
    verdict = judge((asked.benchmark,), {asked.benchmark.name: result})
    assert verdict.outcome == "unknown"


# vllm bench serve: the captured run has 4 requests of 6 tokens, in 0.0106 s.

VLLM_BENCH = {
    "fewer errors than requests": (with_values(errors=[""] * 3), "4 prompts, but 3 errors"),
    "more errors than requests": (with_values(errors=[""] * 5), "4 prompts, but 5 errors"),
    "fewer times to the first token": (with_values(ttfts=[0.1]), "4 prompts, but 1 ttfts"),
    "fewer texts": (with_values(generated_texts=[]), "4 prompts, but 0 generated_texts"),
    "fewer inputs": (with_values(input_lens=[1, 1]), "4 prompts, but 2 input_lens"),
    "no list of latencies": (with_values(itls=0.5), "no list itls"),
    "more tokens than the outputs have": (
        with_values(total_output_tokens=25),
        "25 output tokens, but 24 in output_lens",
    ),
    "a negative output": (with_values(output_lens=[6, 6, -6, 18]), "output_lens is -6"),
    "half a token": (with_values(output_lens=[6, 6, 6.5, 5.5]), "output_lens is 6.5"),
    "more completed than asked": (with_values(completed=5), "4 prompts, but 5 completed"),
    "a request that is neither": (
        with_values(completed=4, failed=1),
        "4 prompts, but 4 completed and 1 failed",
    ),
    "negative failures": (with_values(completed=4, failed=-1), "failed is -1"),
    "completed in parts": (with_values(completed=3.5), "completed is 3.5"),
    "a truth for a count": (with_values(completed=True), "completed is True"),
    "a throughput of its own": (with_values(output_throughput=9000), "output_throughput is 9000"),
    "a request rate of its own": (with_values(request_throughput=1), "request_throughput is 1 "),
    "no time": (with_values(duration=0), "24 output tokens came in 0 s"),
    "time before": (with_values(duration=-1), "came in -1 s"),
    "a negative latency": (with_values(median_ttft_ms=-3), "ttft_p50 is -3 ms"),
    "a latency that is no number": (with_values(mean_itl_ms=float("nan")), "mean_itl_ms is nan"),
    "an endless latency": (with_values(p99_e2el_ms=float("inf")), "p99_e2el_ms is inf"),
    "a median above its p99": (with_values(median_itl_ms=1e6), "more than the"),
    "a negative latency of a request": (with_values(ttfts=[0.1, -0.1, 0.1, 0.1]), "ttfts is -0.1"),
    "a negative gap": (with_values(itls=[[0.1], [0.1, -2], [], []]), "itls is -2"),
    "a gap that is no number": (with_values(itls=[[0.1], [None], [], []]), "itls is None"),
    "a huge count": (with_values(completed=10**300), "completed is a whole number of 997 bits"),
    "a number of very many digits": (
        lambda text: text.replace('"completed": 4', '"completed": ' + "4" * 5000),
        "is not JSON (Exceeds the limit",
    ),
    "a key that comes twice": (
        lambda text: text.replace("{", '{"completed": 4, ', 1),
        "has the key 'completed' twice",
    ),
    "lists in lists in lists": (
        lambda text: text.replace('"errors": [', '"errors": [' + "[" * 100_000, 1),
        "out/result.json is not JSON",
    ),
    "deep, and well formed": (
        lambda text: text.replace("{", '{"x": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1),
        "nested too deep",
    ),
    "a long text for a number": (with_values(duration="9" * 9000), "duration is '999"),
}


@pytest.mark.parametrize("what", VLLM_BENCH)
def test_a_result_of_vllm_bench_that_contradicts_itself_is_unknown(what: str) -> None:
    change, problem = VLLM_BENCH[what]
    asked = job("vllm_bench", "performance")
    output = edited(captured("vllm_bench_performance"), "result.json", change)
    result = vllm_bench.parse(asked, output)
    assert_unknown(asked, result, problem)
    assert all(len(problem) < 600 for problem in result.problems)


def test_more_completed_than_asked_gives_no_negative_failures() -> None:
    """vLLM 0.11.0 does not count its failures."""

    def change(text: str) -> str:
        whole = json.loads(text) | {"completed": 5}
        return json.dumps({key: value for key, value in whole.items() if key != "failed"})

    asked = job("vllm_bench", "performance", vllm="0.11.0")
    result = vllm_bench.parse(
        asked, edited(captured("vllm_bench_performance"), "result.json", change)
    )
    assert_unknown(asked, result, "4 prompts, but 5 completed")
    assert "-1" not in "".join(result.problems)


def test_a_stop_text_may_end_an_answer_early_despite_ignore_eos() -> None:
    for stop, problems in ((None, 1), (["."], 0)):
        asked = job("vllm_bench", "performance", max_out_len=7, stop=stop)
        result = vllm_bench.parse(asked, captured("vllm_bench_performance"))
        assert len(result.problems) == problems


# AISBench: the captured run has 4 requests of 5 tokens, in 29.2 ms.


def total(key: str, value: object) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | {key: {"total": value}})


def row_with(**values: object) -> Callable[[str], str]:
    def change(text: str) -> str:
        first, *rest = text.splitlines()
        return "\n".join([json.dumps(json.loads(first) | values), *rest]) + "\n"

    return change


AISBENCH_PERFORMANCE = {
    "more requests than outcomes": (
        "words.json",
        total("Total Requests", 5),
        "5 requests, but 4 successful and 0 failed",
    ),
    "negative failures": ("words.json", total("Failed Requests", -1), "Failed Requests is -1"),
    "half a success": ("words.json", total("Success Requests", 3.5), "Success Requests is 3.5"),
    "more tokens than its requests have": (
        "words.json",
        total("Total Generated Tokens", 21),
        "21 output tokens, but 20 of all requests",
    ),
    "a throughput of its own": (
        "words.json",
        total("Output Token Throughput", "900.0 token/s"),
        "Output Token Throughput is 900 per second, but 20 output tokens came in",
    ),
    "a request rate of its own": (
        "words.json",
        total("Request Throughput", "1.0 req/s"),
        "Request Throughput is 1 per second",
    ),
    "no time": ("words.json", total("Benchmark Duration", "0.0 ms"), "came in 0 s"),
    "time before": ("words.json", total("Benchmark Duration", "-29.2 ms"), "came in -0.0292 s"),
    "no duration": ("words.json", total("Benchmark Duration", None), "Benchmark Duration is None"),
    "a negative latency": ("words.csv", lambda t: t.replace("5.8 ms", "-5.8 ms"), "is -5.8 ms"),
    "a median above its p99": ("words.csv", lambda t: t.replace("5.3 ms", "99.0 ms"), "its p99"),
    "a request twice": (".jsonl", row_with(id=1), "the request 1 occurs 2 times"),
    "tokens in words": (".jsonl", row_with(output_tokens="5"), "got no token"),
    "a truth for tokens": (".jsonl", row_with(output_tokens=True), "got no token"),
    "a key twice": (".jsonl", lambda t: t.replace("{", '{"id": 0, ', 1), "has the key 'id' twice"),
}


@pytest.mark.parametrize("what", AISBENCH_PERFORMANCE)
def test_a_performance_of_aisbench_that_contradicts_itself_is_unknown(what: str) -> None:
    ending, change, problem = AISBENCH_PERFORMANCE[what]
    asked = job("aisbench", "performance")
    output = edited(captured("aisbench_performance"), ending, change)
    assert_unknown(asked, aisbench.parse(asked, output), problem)


def detail(index: str, value: object) -> Callable[[str], str]:
    def change(text: str) -> str:
        whole = json.loads(text)
        whole["details"][index]["correct"] = value
        return json.dumps(whole)

    return change


AISBENCH_ACCURACY = {
    "an item twice": (".jsonl", row_with(id=1), "the prediction 1 occurs 2 times"),
    "an item without a mark": ("words.json", detail("0", None), "1 of 4 items were not scored"),
    "a mark that is none": ("words.json", detail("0", "yes"), "1 of 4 items were not scored"),
    "another score": (".csv", lambda t: t.replace("75.00", "80.00"), "80 %, but 3 of 4"),
    "a score below zero": (".csv", lambda t: t.replace("75.00", "-75.00"), "'-75.00', expected"),
    "a score in a Python's writing": (
        ".csv",
        lambda t: t.replace("75.00", "7_5"),
        "'7_5', expected",
    ),
    "an endless score": (".csv", lambda t: t.replace("75.00", "1e999"), "'1e999', expected"),
    "a score of many digits": (".csv", lambda t: t.replace("75.00", "9" * 5000), "score"),
}


@pytest.mark.parametrize("what", AISBENCH_ACCURACY)
def test_an_accuracy_of_aisbench_that_contradicts_itself_is_unknown(what: str) -> None:
    ending, change, problem = AISBENCH_ACCURACY[what]
    asked = job("aisbench")
    output = edited(captured("aisbench_accuracy"), ending, change)
    assert_unknown(asked, aisbench.parse(asked, output), problem)


def answered(tokens: int | None, reason: str = "length") -> Output:
    """Return the captured performance run, with the server's data of each answer."""
    output = captured("aisbench_performance")
    (name,) = (name for name in output.files if name.endswith("_details.jsonl"))
    uuids = [json.loads(line)["uuid"] for line in output.files[name].splitlines()]
    rows = [{"uuid": uuid, "finish_reason": reason, "tokens": tokens} for uuid in uuids]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return replace(output, files={**output.files, "answers.jsonl": lines})


@pytest.mark.parametrize(
    ("changes", "tokens", "is_short"),
    [
        ({"max_out_len": 5}, 5, False),
        ({"max_out_len": 6}, 5, True),
        ({"max_out_len": 6, "ignore_eos": True}, 5, True),
        ({"max_out_len": 6, "ignore_eos": False}, 5, False),
        ({"max_out_len": 6, "stop": ["."]}, 5, False),
        # AISBench counted them itself, with its own tokenizer.
        ({"max_out_len": 6}, None, False),
    ],
)
def test_with_ignore_eos_an_answer_of_aisbench_has_all_tokens(
    changes: dict[str, Any],
    tokens: int | None,
    is_short: bool,  # noqa: FBT001 - a table's column
) -> None:
    asked = job("aisbench", "performance", **changes)
    result = aisbench.parse(asked, answered(tokens))
    if is_short:
        assert_unknown(asked, result, "4 of 4 answers have fewer than 6 output tokens")
    assert bool(result.problems) == is_short


@pytest.mark.parametrize("case_type", ["accuracy", "performance"])
@pytest.mark.parametrize("ignore_eos", [None, True, False])
def test_the_expected_answer_matches_the_request(
    case_type: str,
    ignore_eos: bool | None,  # noqa: FBT001 - a table's column
) -> None:
    asked = job("aisbench", case_type, ignore_eos=ignore_eos)
    sent = re.search(r"'ignore_eos': (\w+)", aisbench.command(asked).files["config/run.py"])
    assert ignores_eos(asked) == (sent is not None and sent[1] == "True")


# lm-eval: 4 samples, 3 of them right.

LM_EVAL = {
    "a sample twice": (".jsonl", row_with(doc_id=1), "the sample 1 occurs 2 times"),
    "half a point": (".jsonl", row_with(exact_match=0.5), "1 of 4 samples have no score of 0 or 1"),
    "no point": (".jsonl", row_with(exact_match=None), "1 of 4 samples have no score"),
    "a point below zero": (".jsonl", row_with(exact_match=-1), "1 of 4 samples have no score"),
    "no number": (".jsonl", row_with(exact_match=float("nan")), "1 of 4 samples have no score"),
    "half a sample": (
        ".json",
        lambda t: re.sub(r'"effective": 4', '"effective": 3.5', t),
        "n-samples is 3.5",
    ),
}


@pytest.mark.parametrize("what", LM_EVAL)
def test_a_result_of_lm_eval_that_contradicts_itself_is_unknown(what: str) -> None:
    ending, change, problem = LM_EVAL[what]
    asked = job("lm_eval")
    output = edited(captured("lm_eval_accuracy"), ending, change)
    assert_unknown(asked, lm_eval.parse(asked, output), problem)


def test_every_captured_result_is_consistent() -> None:
    for tool, case_type in (("aisbench", "accuracy"), ("aisbench", "performance")):
        asked = job(tool, case_type)
        assert aisbench.parse(asked, captured(f"{tool}_{case_type}")).problems == ()
    assert lm_eval.parse(job("lm_eval"), captured("lm_eval_accuracy")).problems == ()


# More prompts than the dataset has


@pytest.mark.parametrize(
    ("tool", "num_prompts", "items", "asked"),
    [
        ("aisbench", None, 30, 30),
        ("aisbench", 20, 30, 20),
        ("aisbench", 100, 30, 30),
        ("aisbench", 100, 0, 100),
        ("lm_eval", 100, 30, 30),
        # It makes its own prompts, and has no use for the dataset.
        ("vllm_bench", 100, 30, 100),
        ("vllm_bench", None, 30, 30),
    ],
)
def test_no_more_items_are_asked_than_the_dataset_has(
    tool: str, num_prompts: int | None, items: int, asked: int
) -> None:
    makes = tool == "vllm_bench"
    case_type = "performance" if makes else "accuracy"
    asked_job = job(
        tool,
        case_type,
        num_prompts=num_prompts,
        dataset=Dataset("d", "/d", "gsm8k", items, place="none" if makes else "controller"),
    )
    assert items_asked(asked_job.benchmark, asked_job.dataset) == asked_job.expected_items == asked


# One question whose answer is counted several times, each with an id of its own.

PROMPTS = {"aisbench": "origin_prompt", "lm_eval": "arguments"}


def asked_again(times: int, key: str) -> Callable[[str], str]:
    """Give the first rows the prompt of the first row."""

    def change(text: str) -> str:
        rows = [json.loads(line) for line in text.splitlines()]
        rows[:times] = [row | {key: rows[0][key]} for row in rows[:times]]
        return "".join(json.dumps(row) + "\n" for row in rows)

    return change


@pytest.mark.parametrize("tool", PROMPTS)
@pytest.mark.parametrize(
    ("form", "times", "is_problem"), [("gsm8k", 2, True), ("other", 2, False), ("other", 4, True)]
)
def test_several_answers_to_one_question_are_not_several_items(
    tool: str,
    form: str,
    times: int,
    is_problem: bool,  # noqa: FBT001 - a table's column
) -> None:
    asked = job(tool)
    output = edited(captured(f"{tool}_accuracy"), ".jsonl", asked_again(times, PROMPTS[tool]))
    module = {"aisbench": aisbench, "lm_eval": lm_eval}[tool]
    items = module.parse(asked, output).items
    other = replace(asked, dataset=replace(asked.dataset, form=form))
    problems = different_prompts(other, items)
    assert bool(problems) == is_problem
    if form == "gsm8k":
        assert_unknown(asked, module.parse(asked, output), problems[0])


def test_figures_without_an_item_are_a_problem() -> None:
    result = vllm_bench.parse(job("vllm_bench", "performance"), captured("vllm_bench_performance"))
    assert backed_by_items(result) == result
    assert "no item" in backed_by_items(replace(result, items=())).problems[0]
    assert backed_by_items(Result(problems=("x",))).problems == ("x",)
