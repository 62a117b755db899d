"""Test the items of each tool."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from statistics import mean

import pytest
from tool_outputs import CAPTURED, captured, job

from ci.tools import aisbench, lm_eval, vllm_bench
from ci.tools.model import Item
from ci.tools.prompt import DIGITS, digest_of

QUESTION = [{"role": "user", "content": "What is 1 + 1?"}]
DIGEST = hashlib.sha256(b'[["user","What is 1 + 1?"]]').hexdigest()[:DIGITS]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("What is 1 + 1?", DIGEST),
        (QUESTION, DIGEST),
        ([{"role": "HUMAN", "prompt": "What is 1 + 1?"}], DIGEST),
        ([{"role": "assistant", "content": "What is 1 + 1?"}], None),
        ([{"role": "system", "content": "Be brief."}, *QUESTION], None),
    ],
)
def test_a_prompt_has_the_same_digest_for_all_tools(asked, expected):
    digest = digest_of(asked)
    assert digest is not None
    assert len(digest) == DIGITS
    assert (digest == DIGEST) == (expected == DIGEST)


@pytest.mark.parametrize("asked", [None, 1, [], [1], ["x"], [{"role": "user"}], {"role": "user"}])
def test_other_values_have_no_digest(asked):
    assert digest_of(asked) is None


def test_a_lone_surrogate_has_a_digest():
    assert digest_of("\udc80") != digest_of("\udc81")


def answers(output, pattern, **known):
    """The captured output with what our model classes keep of each answer."""
    rows = [{"uuid": row["uuid"], **known} for row in output.rows(pattern)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    return replace(output, files={**output.files, "answers.jsonl": lines})


def test_aisbench_gives_prompts_and_the_model_classes_latencies():
    output = captured("aisbench_accuracy")
    known = {"finish_reason": "stop", "tokens": 5, "latency_ms": 12.5}
    output = answers(output, "out/*/predictions/served/words.jsonl", **known)
    result = aisbench.parse(job("aisbench"), output)
    assert result.problems == ()
    assert len({item.prompt_digest for item in result.items}) == 4
    first, asked = result.items[0], output.rows("out/*/predictions/served/words.jsonl")[0]
    known = {"tokens": 5, "latency_ms": 12.5, "finish_reason": "stop"}
    assert first == Item("0", digest_of(asked["origin_prompt"]), correct=True, **known)


def test_a_performance_run_of_aisbench_gives_the_same():
    output = captured("aisbench_performance")
    known = {"finish_reason": "stop", "tokens": 64, "latency_ms": 7.0}
    output = answers(output, "out/*/performances/served/words_details.jsonl", **known)
    result = aisbench.parse(job("aisbench", "performance"), output)
    assert result.problems == ()
    assert [item.latency_ms for item in result.items] == [7.0] * 4
    assert len({item.prompt_digest for item in result.items}) == 4
    assert result.items[0].prompt_digest == digest_of("Ada has 3 pens and buys 7. How many?")


@pytest.mark.parametrize("latency", [None, "7", True, -1.0, float("inf"), float("nan"), [7.0]])
def test_an_invalid_latency_is_none(latency):
    output = captured("aisbench_accuracy")
    known = {"finish_reason": "stop", "tokens": 5, "latency_ms": latency}
    output = answers(output, "out/*/predictions/served/words.jsonl", **known)
    result = aisbench.parse(job("aisbench"), output)
    assert {item.latency_ms for item in result.items} == {None}


def test_no_answer_counts_as_cut_off_without_server_data():
    output = captured("aisbench_accuracy")
    output = answers(output, "out/*/predictions/served/words.jsonl", latency_ms=7.0)
    assert aisbench.parse(job("aisbench"), output).problems == ()


def test_lm_eval_gives_prompts_and_no_answer_data():
    result = lm_eval.parse(job("lm_eval"), captured("lm_eval_accuracy"))
    question = "Ada has 3 pens and buys 7. How many?"
    asked = f'{question}\n\nWork it out step by step. End with a line "answer: NUMBER".'
    assert result.items[0] == Item("0", digest_of(asked), correct=True)
    assert len({item.prompt_digest for item in result.items}) == 4


@pytest.mark.parametrize("vllm", sorted(path.name for path in (CAPTURED / "vllm_bench").iterdir()))
def test_every_vllm_bench_gives_the_latency_of_each_request(vllm):
    output = captured(f"vllm_bench/{vllm}/whole")
    whole = json.loads(output.files["out/result.json"])
    asked = job("vllm_bench", "performance", vllm=vllm, max_out_len=8)
    items = vllm_bench.parse(asked, output).items
    # As the tool itself has it: its mean is over the same requests. Where it tells no latencies,
    # its last event, without a token, comes a fraction of a millisecond after the last token.
    close = {"abs": 0.001} if "latencies" in whole else {"rel": 0.001}
    latencies = [item.latency_ms for item in items]
    assert mean(latencies) == pytest.approx(whole["mean_e2el_ms"], **close)
    assert {(item.prompt_digest, item.finish_reason) for item in items} == {(None, None)}


@pytest.mark.parametrize("vllm", ["0.11.0", "0.32.0"])
def test_a_failed_request_has_no_latency(vllm):
    asked = job("vllm_bench", "performance", vllm=vllm, max_out_len=8)
    items = vllm_bench.parse(asked, captured(f"vllm_bench/{vllm}/refused")).items
    assert [item.latency_ms is None for item in items] == [False, True, False, False]
