"""Test that without a baseline every valid figure passes, and nothing else, with every tool."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tool_outputs import captured, edited, job

from ci.judge.figures import NO_OUTPUT
from ci.judge.verdict import NO_BASELINE, judge
from ci.tools.model import Item, Measurement, Result
from ci.tools.registry import TOOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.judge.verdict import Check
    from ci.tools.model import Job
    from ci.tools.output import Output

    Change = Callable[[str], str]

RUNS = {
    "aisbench accuracy": ("aisbench", "accuracy"),
    "aisbench performance": ("aisbench", "performance"),
    "lm_eval": ("lm_eval", "accuracy"),
    "vllm_bench": ("vllm_bench", "performance"),
}


def asked(run: str) -> Job:
    tool, case_type = RUNS[run]
    return job(tool, case_type, baseline=None, threshold=None)


def left(run: str) -> Output:
    tool, case_type = RUNS[run]
    return captured(f"{tool}_{case_type}")


def judged(run: str, output: Output) -> Check:
    benchmark = asked(run).benchmark
    result = TOOLS[benchmark.tool].parse(asked(run), output)
    (check,) = judge((benchmark,), {benchmark.name: result}).checks
    return check


def rows(**values: object) -> Change:
    """Set these values in every line of a JSON Lines file."""
    return lambda text: "".join(
        json.dumps(json.loads(line) | values) + "\n" for line in text.splitlines()
    )


def fields(**values: object) -> Change:
    return lambda text: json.dumps(json.loads(text) | values)


def total(figure: str, value: object) -> Change:
    """Give a figure of AISBench's performance summary this total."""
    return fields(**{figure: {"total": value}})


def without_first_line(text: str) -> str:
    return text.partition("\n")[2]


# run → what went wrong → the file's ending, what became of it; None where it is not there
WRONG: dict[str, dict[str, tuple[str, Change | None]]] = {
    "aisbench accuracy": {
        "every answer is empty": (".jsonl", rows(prediction="")),
        "every answer is missing": (".jsonl", rows(prediction=None)),
        "every answer is white": (".jsonl", rows(prediction=" \n")),
        "one answer is empty": (".jsonl", lambda t: t.replace('"prediction": "', '"x": "', 1)),
        "one item is missing": (".jsonl", without_first_line),
        "no item is there": (".jsonl", lambda _: ""),
        "every request failed": (".jsonl", rows(success=False)),
        "there is no score": (".csv", lambda t: t.replace("accuracy,gen,75.00", "-,-,-")),
        "the score is no number": (".csv", lambda t: t.replace("75.00", "nan")),
        "there is no summary": (".csv", None),
    },
    "aisbench performance": {
        "one item is missing": (".jsonl", without_first_line),
        "every request failed": (".jsonl", rows(success=False)),
        "one failed of the totals": ("words.json", total("Failed Requests", 1)),
        "fewer succeeded": ("words.json", total("Success Requests", 3)),
        "no token was generated": ("words.json", total("Total Generated Tokens", 0)),
        "the throughput is zero": (
            "words.json",
            total("Output Token Throughput", "0.0 token/s"),
        ),
        "there is no summary": ("words.json", None),
    },
    "lm_eval": {
        "every answer is empty": (".jsonl", rows(resps=[[""]])),
        "every answer is missing": (".jsonl", rows(resps=[[None]])),
        "every answer is white": (".jsonl", rows(resps=[[" \n"]])),
        "one item is missing": (".jsonl", without_first_line),
        "no item is there": (".jsonl", lambda _: ""),
        "there is no score": (".json", fields(results={})),
    },
    "vllm_bench": {
        "one request failed": (".json", fields(failed=1, completed=3)),
        "every request failed": (".json", fields(failed=4, completed=0)),
        "fewer were sent": (".json", fields(num_prompts=3)),
        "no token was generated": (".json", fields(total_output_tokens=0)),
        "every answer is empty": (".json", fields(output_lens=[0, 0, 0, 0])),
        "the throughput is zero": (".json", fields(output_throughput=0.0)),
        "the throughput is no number": (".json", fields(output_throughput=None)),
        "there is no result": (".json", None),
    },
}


@pytest.mark.parametrize("run", RUNS)
def test_a_valid_figure_passes_as_without_baseline(run: str) -> None:
    check = judged(run, left(run))
    assert (check.outcome, check.reason) == ("pass", NO_BASELINE)
    assert check.value
    assert (check.baseline, check.bound, check.tolerance) == (None, None, "")


@pytest.mark.parametrize(
    ("run", "ending", "change"),
    [
        pytest.param(run, *change, id=f"{run}: {what}")
        for run, cases in WRONG.items()
        for what, change in cases.items()
    ],
)
def test_an_incomplete_output_never_passes(run: str, ending: str, change: Change | None) -> None:
    check = judged(run, edited(left(run), ending, change))
    assert (check.outcome, check.value) == ("unknown", None)
    assert check.reason not in {"", NO_BASELINE}


@pytest.mark.parametrize("code", [1, -9, None])
@pytest.mark.parametrize("run", RUNS)
def test_a_tool_that_failed_never_passes(run: str, code: int | None) -> None:
    assert judged(run, replace(left(run), exit_code=code)).outcome == "unknown"


@pytest.mark.parametrize("run", RUNS)
def test_a_tool_without_output_never_passes(run: str) -> None:
    assert judged(run, replace(left(run), files={})).outcome == "unknown"


@pytest.mark.parametrize("run", RUNS)
def test_a_benchmark_that_never_ran_never_passes(run: str) -> None:
    (check,) = judge((asked(run).benchmark,), {}, cause="server-0 died").checks
    assert (check.outcome, check.reason) == ("unknown", "never reached: server-0 died")


@pytest.mark.parametrize(
    ("tokens", "outcome", "reason"),
    [
        ((0, 0), "unknown", NO_OUTPUT),
        ((0, 3), "pass", f"{NO_BASELINE}; 1 of 2 answers were empty"),
        ((None, None), "pass", NO_BASELINE),
        ((0, None), "pass", f"{NO_BASELINE}; 1 of 2 answers were empty"),
    ],
)
def test_answers_without_any_token_never_pass(
    tokens: tuple[int | None, ...], outcome: str, reason: str
) -> None:
    items = tuple(Item(str(at), correct=False, tokens=count) for at, count in enumerate(tokens))
    figure = Measurement("b", "accuracy", 0.0, "%", len(items), None, "summary.csv")
    benchmark = asked("aisbench accuracy").benchmark
    (check,) = judge((benchmark,), {"b": Result((figure,), items)}).checks
    assert (check.outcome, check.reason) == (outcome, reason)


def test_zero_correct_answers_are_a_figure() -> None:
    figure = Measurement("b", "accuracy", 0.0, "%", 4, None, "summary.csv")
    benchmark = asked("lm_eval").benchmark
    (check,) = judge((benchmark,), {"b": Result((figure,))}).checks
    assert (check.outcome, check.value, check.reason) == ("pass", 0.0, NO_BASELINE)
