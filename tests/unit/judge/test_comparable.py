"""Test which nights of the history a figure may be compared with, and why not others."""

from __future__ import annotations

from dataclasses import replace

import pytest
from past_figures import SPEED, TONIGHT, past

from ci.judge.comparable import ITSELF, LATER, NO_SETTINGS, broken, comparable, differences
from ci.judge.metrics import is_score, lower_is_better
from ci.judge.past import CheckId

COMPARABLE = {
    "the same": past(),
    "another value": past(value=10.0),
    "a failed night": past(outcome="fail", night="fail"),
    "another host, in its own series": past(host="b"),
    "another device of the same kind": past(device_name="H200"),
    "another vLLM": past(vllm="0.31.0"),
    "another commit of the packages": past(environment="bb"),
    "some answers are cut": past(cut=39),
    "some answers are empty": past(empty=39),
    "a score does not depend on the load": past(settings={"batch_size": 4, "request_rate": 2.0}),
    "the name of the data set alone": past(settings={"dataset": "other name"}),
    "another order of the parameters": past(settings={"sampling": '{"top_p":1.0}'}),
    "performance whose answers are all cut": past(of=SPEED, cut=40),
}
LEFT_OUT = {
    "the run itself": (past(run="r9"), ITSELF),
    "a copy under another name": (past(9, run="copy"), "a copy of r9"),
    "later": (past(9, run="x", started_at="2026-01-10T00:00:00.000Z"), LATER),
    "rejected": (past(7), "rejected: the disk was full"),
    "a problem": (past(problems=("2 requests failed", "y")), "problems: 2 requests failed"),
    "it ended early": (past(ended_early="late"), "the night ended early: late"),
    "failed requests": (past(failed=2), "2 requests failed"),
    "missing items": (past(missing=3), "3 items are missing"),
    "no item": (past(n=0), "measured on no item"),
    "all empty": (past(empty=40), "all answers are empty"),
    "all cut": (past(cut=40), "all answers are cut"),
    "nothing right": (past(value=0.0), "accuracy is 0"),
    "another case": (past(case="d"), "case d, now c"),
    "another benchmark": (past(benchmark="b"), "benchmark b, now acc"),
    "another metric": (past(metric="pass@4"), "metric pass@4, now accuracy"),
    "another unit": (past(unit="points"), "unit points, now %"),
    "another device": (past(device="ascend"), "device ascend, now cuda"),
    "another model": (past(settings={"model": "m"}), "model m, now qwen"),
    "another tool": (past(settings={"tool": "lm_eval"}), "tool lm_eval, now aisbench"),
    "its version": (past(settings={"tool_version": None}), "version of the tool -, now 3.1"),
    "data set": (
        past(settings={"dataset_digest": "d0"}),
        "data set gsm8k d0, now gsm8k d1",
    ),
    "made": (past(settings={"made": "in3500"}), "prompts in3500, now -"),
    "number": (past(settings={"num_prompts": 20}), "number of prompts 20, now 40"),
    "length": (past(settings={"max_out_len": 32}), "max_out_len 32, now 64"),
    "temperature": (past(settings={"temperature": None}), "temperature -, now 0.0"),
    "sampling": (past(settings={"sampling": '{"top_k": 4}'}), "top_k 4, now -; top_p -, now 1.0"),
    "tokenizer": (past(settings={"tokenizer": "t"}), "tokenizer t, now qwen"),
    "request_conf": (past(settings={"request_conf": "r"}), "request_conf r, now -"),
    "dataset_conf": (past(settings={"dataset_conf": "r"}), "dataset_conf r, now -"),
    "arguments": (
        past(settings={"arguments": ("--input", "8")}),
        "options of the tool --input 8, now -",
    ),
    "--set": (past(settings={"overrides": ("a=1",)}), "--set a=1, now -"),
    "two at once": (
        past(settings={"tool": "t", "max_out_len": 1}),
        "tool t, now aisbench; max_out_len 1, now 64",
    ),
    "questions": (past(questions="q0"), "other questions: q0, now q1"),
    "fewer of them": (
        past(questions="q0", n_items=20),
        "other questions: 20 items, now 40",
    ),
    "unknown questions": (past(questions=""), "its items are unknown"),
    "unknown settings": (past(conditions=None), NO_SETTINGS),
    "the load, of speed": (
        past(of=SPEED, settings={"batch_size": 4}),
        "batch_size 4, now 8",
    ),
    "the rate, of speed": (
        past(of=SPEED, settings={"request_rate": 2.0}),
        "request_rate 2.0, now 0.0",
    ),
}


def history(figure, **options):
    tonight = SPEED if figure.metric == SPEED.metric else TONIGHT
    return comparable(tonight, [figure], rejected={"r7": "the disk was full"}, **options)


@pytest.mark.parametrize("name", COMPARABLE)
def test_a_night_is_comparable(name):
    found = history(COMPARABLE[name])
    assert (found.figures, found.left_out) == ((COMPARABLE[name],), ())


@pytest.mark.parametrize("name", LEFT_OUT)
def test_a_night_is_left_out_with_the_reason(name):
    figure, reason = LEFT_OUT[name]
    found = history(figure)
    assert found.figures == ()
    assert [(each.figure, each.reason) for each in found.left_out] == [(figure, reason)]


def test_copies_count_once_and_the_oldest_comes_first():
    first, second = past(1), past(2)
    renamed = replace(first, run="r1-copy")
    found = comparable(TONIGHT, [second, first, renamed, first, replace(second)])
    assert found.figures == (first, second)
    assert [each.reason for each in found.left_out] == ["a copy of r1"] * 2 + ["a copy of r2"]
    assert found.reasons == {"a copy of r1": 2, "a copy of r2": 1}


def test_repeats_in_a_night_are_measurements_of_their_own():
    again = past(1, repeat=1, started_at="2026-01-01T00:09:00.000Z")
    assert comparable(TONIGHT, [again, past(1)]).figures == (past(1), again)


def test_hosts_are_series_of_their_own():
    nights = (past(1), past(2, host="b"), past(3, device_name=""), past(4))
    found = comparable(TONIGHT, nights)
    assert [figure.series for figure in found.figures] == ["a (H100)", "b (H100)", "a", "a (H100)"]
    assert found.of_series(TONIGHT.series) == (nights[0], nights[3])


def test_the_same_vllm_counts_alone_where_that_is_asked():
    other = past(vllm="0.31.0")
    assert history(other).figures == (other,)
    (left_out,) = history(other, same_vllm=True).left_out
    assert left_out.reason == "vLLM 0.31.0, now 0.32.0"
    assert history(past(), same_vllm=True).figures == (past(),)


def test_where_all_answers_are_cut_tonight_that_is_how_the_case_is():
    tonight = replace(TONIGHT, cut=40)
    assert comparable(tonight, [past(cut=40)]).figures == (past(cut=40),)
    assert broken(past(cut=40)) == "all answers are cut"
    assert broken(past(cut=40), all_cut=True) == ""


def test_without_settings_of_tonight_nothing_is_comparable():
    tonight = replace(TONIGHT, conditions=None, questions="")
    assert differences(tonight, past()) == (
        "the settings are unknown now",
        "the items are unknown now",
    )
    assert differences(TONIGHT, past()) == ()


@pytest.mark.parametrize(
    ("metric", "unit", "lower", "score"),
    [
        ("accuracy", "%", False, True),
        ("pass@4", "%", False, True),
        ("avg@8", "%", False, True),
        ("output_token_throughput", "tok/s", False, False),
        ("ttft_p99", "ms", True, False),
        ("weights_load", "s", True, False),
        ("prefix_cache_hit_rate", "%", False, False),
        ("server_preemptions", "requests", True, False),
    ],
)
def test_the_direction_and_the_kind_of_a_metric(metric, unit, lower, score):
    assert (lower_is_better(metric, unit), is_score(metric)) == (lower, score)


def test_a_figure_knows_its_check():
    assert TONIGHT.check == CheckId("c", "acc", "accuracy")
