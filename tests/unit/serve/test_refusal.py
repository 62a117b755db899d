"""A healthy server that refuses every completion."""

from __future__ import annotations

import pytest

from ci.serve.probe import ProbeResult
from ci.serve.refusal import FINAL, FINAL_AFTER_S, Refusals, explain


def reply(status):
    return ProbeResult("completion", status, error=f"HTTP {status}: no")


@pytest.mark.parametrize("status", sorted(FINAL))
def test_the_same_refusal_for_several_seconds_is_final(status):
    refusals = Refusals()
    for second in range(int(FINAL_AFTER_S)):
        assert refusals.are_final(second) is False
        refusals = refusals.after(reply(status), second)
    refusals = refusals.after(reply(status), FINAL_AFTER_S)
    assert refusals.are_final(FINAL_AFTER_S)


@pytest.mark.parametrize("between", [None, reply(None), reply(503), reply(200), reply(404)])
def test_another_reply_begins_again(between):
    refusals = Refusals().after(reply(401), 0).after(between, 3).after(reply(401), 4)
    assert refusals.are_final(FINAL_AFTER_S) is False
    assert refusals.are_final(4 + FINAL_AFTER_S)


@pytest.mark.parametrize(
    ("status", "served", "words"),
    [
        (401, (), "set VLLM_API_KEY"),
        (403, (), "set VLLM_API_KEY"),
        (404, ("a", "b"), "the model 'm', but the server lists a, b"),
        (404, ("m",), "no /v1/completions"),
        (404, (), "no /v1/completions"),
        (405, (), "no /v1/completions"),
        (400, ("m",), "does not accept the request"),
        (422, ("m",), "does not accept the request"),
        (307, (), "a redirect is not followed"),
        (429, ("m",), "limits requests"),
    ],
)
def test_the_cause_and_what_to_do(status, served, words):
    text = explain(reply(status), "m", served)
    assert text.startswith(f"HTTP {status}: no; ")
    assert words in text
