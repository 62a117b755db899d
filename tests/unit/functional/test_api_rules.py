"""A healthy reply passes every rule, and each way to spoil it fails one."""

from __future__ import annotations

import dataclasses

import pytest
from functional.captured import KINDS, failures, reply_of, spoilt_body, spoilt_stream


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", KINDS)
def test_what_a_real_server_replied_passes(name, stream):
    assert failures(name, reply_of(name, stream=stream), stream=stream) == []


def first(body):
    return body["choices"][0]


def call(body):
    return first(body)["message"]["tool_calls"][0]


def token(body, index=0):
    return first(body)["logprobs"]["content"][index]


BODIES = {
    # (captured reply, what changes it, beginning of the assertion that fails)
    "id empty": ("chat", lambda b: b.update(id=""), "id is"),
    "id a number": ("chat", lambda b: b.update(id=7), "id is"),
    "object of a stream": ("chat", lambda b: b.update(object="chat.completion.chunk"), "object"),
    "object of the other API": ("completions", lambda b: b.update(object="chat.completion"), "obj"),
    "created text": ("chat", lambda b: b.update(created="1795715909"), "created"),
    "created in ms": ("chat", lambda b: b.update(created=1795715909000), "created"),
    "created missing": ("chat", lambda b: b.pop("created"), "created"),
    "model": ("chat", lambda b: b.update(model="other"), "model"),
    "no choices": ("chat", lambda b: b.update(choices=[]), "indexes"),
    "choices null": ("chat", lambda b: b.update(choices=None), "the reply has"),
    "choices missing": ("chat", lambda b: b.pop("choices"), "the reply has"),
    "two choices": ("chat", lambda b: b["choices"].append({**first(b), "index": 1}), "indexes"),
    "index": ("chat", lambda b: first(b).update(index=1), "indexes"),
    "finish_reason null": ("chat", lambda b: first(b).update(finish_reason=None), "finish_reason"),
    "finish_reason eos": ("chat", lambda b: first(b).update(finish_reason="eos"), "finish_reason"),
    "length too early": ("chat", lambda b: first(b).update(finish_reason="length"), "`length`"),
    "role": ("chat", lambda b: first(b)["message"].update(role="user"), "role"),
    "role missing": ("chat", lambda b: first(b)["message"].pop("role"), "role"),
    "message missing": ("chat", lambda b: first(b).pop("message"), "the reply has"),
    "content a list": ("chat", lambda b: first(b)["message"].update(content=["x"]), "the reply"),
    "end token in the text": (
        "chat",
        lambda b: first(b)["message"].update(content="yes<|im_end|>"),
        "no special token",
    ),
    "a tool call without tools": (
        "chat",
        lambda b: first(b)["message"].update(tool_calls=[{"id": "a", "function": {}}]),
        "no tool call",
    ),
    "usage missing": ("chat", lambda b: b.pop("usage"), "usage"),
    "usage null": ("chat", lambda b: b.update(usage=None), "usage"),
    "prompt_tokens 0": ("chat", lambda b: b["usage"].update(prompt_tokens=0), "usage.prompt"),
    "tokens as text": ("chat", lambda b: b["usage"].update(completion_tokens="7"), "usage.comp"),
    "total": ("chat", lambda b: b["usage"].update(total_tokens=1), "usage.total_tokens"),
    "completion + 1": (
        "chat",
        lambda b: b["usage"].update(
            completion_tokens=b["usage"]["completion_tokens"] + 1,
            total_tokens=b["usage"]["total_tokens"] + 1,
        ),
        "usage.completion_tokens",
    ),
    "prompt + 1": (
        "chat",
        lambda b: b["usage"].update(
            prompt_tokens=b["usage"]["prompt_tokens"] + 1,
            total_tokens=b["usage"]["total_tokens"] + 1,
        ),
        "usage.prompt_tokens",
    ),
    "more cached than asked": (
        "chat",
        lambda b: b["usage"].update(prompt_tokens_details={"cached_tokens": 10_000}),
        "usage: cached",
    ),
    "logprobs null": ("chat", lambda b: first(b).update(logprobs=None), "logprobs"),
    "logprobs empty": ("chat", lambda b: first(b)["logprobs"].update(content=[]), "logprobs"),
    "logprobs short": ("chat", lambda b: first(b)["logprobs"]["content"].pop(), "logprobs: one"),
    "a probability": ("chat", lambda b: token(b).update(logprob=0.98), "logprobs: at most 0"),
    "logprob text": ("chat", lambda b: token(b).update(logprob="-1"), "logprobs: at most 0"),
    "logprob of another": ("chat", lambda b: token(b).update(logprob=-3.3), "logprobs: the token"),
    "one alternative": ("chat", lambda b: token(b)["top_logprobs"].pop(), "logprobs: alternatives"),
    "bytes": ("chat", lambda b: token(b).update(bytes=[72]), "logprobs: bytes"),
    "tokens of another text": (
        "chat",
        lambda b: token(b).update({"token": "X", "bytes": None}),
        "logprobs",
    ),
    "probabilities over 1": (
        "chat",
        lambda b: token(b).update(top_logprobs=[{**token(b), "logprob": -0.01} for _ in range(2)]),
        "logprobs: prob",
    ),
    "text_offset": (
        "completions",
        lambda b: first(b)["logprobs"].update(text_offset=[0, 1, 2, 3, 4, 5]),
        "logprobs: text_offset",
    ),
    "tokens cut": ("completions", lambda b: first(b)["logprobs"]["tokens"].pop(), "the reply has"),
    "arguments an object": (
        "tools",
        lambda b: call(b)["function"].update(arguments={}),
        "tool call",
    ),
    "arguments cut": (
        "tools",
        lambda b: call(b)["function"].update(arguments='{"city": "Paris"'),
        "tool call: arguments are JSON",
    ),
    "arguments a list": (
        "tools",
        lambda b: call(b)["function"].update(arguments="[]"),
        "tool call",
    ),
    "name empty": ("tools", lambda b: call(b)["function"].update(name=""), "tool call: name"),
    "name unknown": ("tools", lambda b: call(b)["function"].update(name="f"), "tool call: name"),
    "id of a call": ("tools", lambda b: call(b).pop("id"), "tool call: id"),
    "type of a call": ("tools", lambda b: call(b).update(type="tool"), "tool call: type"),
    "finish_reason of a call": ("tools", lambda b: first(b).update(finish_reason="stop"), "finish"),
    "no call": ("tools", lambda b: first(b)["message"].update(tool_calls=[]), "a tool call"),
    "two calls of one id": (
        "tools",
        lambda b: first(b)["message"].update(tool_calls=[call(b), call(b)]),
        "each tool call",
    ),
    "response: object": ("responses", lambda b: b.update(object="resp"), "object"),
    "response: model": ("responses", lambda b: b.update(model="x"), "model"),
    "response: status": ("responses", lambda b: b.update(status="failed"), "status"),
    "response: no output": ("responses", lambda b: b.update(output=[]), "output"),
    "response: usage": ("responses", lambda b: b["usage"].update(output_tokens=0), "usage"),
    "response: total": ("responses", lambda b: b["usage"].update(total_tokens=1), "usage.total"),
    "response: no reason": ("responses", lambda b: b.update(incomplete_details=None), "incomplete"),
    "response: created": ("responses", lambda b: b.update(created_at="now"), "created_at"),
}


@pytest.mark.parametrize("spoilt", BODIES)
def test_a_spoilt_body_fails(spoilt):
    name, spoil, expected = BODIES[spoilt]
    names = failures(name, spoilt_body(name, spoil), stream=False)
    assert any(each.startswith(expected) for each in names), names


def delta(chunks, index):
    return chunks[index]["choices"][0]["delta"]


def tool_delta(chunks, number):
    """Return the tool call in a chunk: number 0 is the first one with a tool call."""
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-2]]
    return [each["tool_calls"][0] for each in deltas if each.get("tool_calls")][number]


def repeat_arguments(chunks):
    """Send the first piece of the arguments twice."""
    function = tool_delta(chunks, 1)["function"]
    function["arguments"] *= 2


STREAMS = {
    "no [DONE]": ("chat", lambda c: c.pop(), "stream: number of [DONE]"),
    "two [DONE]": ("chat", lambda c: c.append("[DONE]"), "stream: number of [DONE]"),
    "after [DONE]": ("chat", lambda c: c.append(c[1]), "stream: nothing after"),
    "not JSON": ("chat", lambda c: c.insert(2, "{"), "stream: each event is one JSON"),
    "an error in the stream": (
        "chat",
        lambda c: c.insert(2, {"error": {}}),
        "stream: each event is",
    ),
    "role missing": ("chat", lambda c: delta(c, 0).pop("role"), "stream: the role"),
    "role twice": ("chat", lambda c: delta(c, 3).update(role="assistant"), "stream: the role"),
    "id drifts": ("chat", lambda c: c[3].update(id="other"), "stream: `id`"),
    "created drifts": ("chat", lambda c: c[3].update(created=1), "stream: `created`"),
    "model drifts": ("chat", lambda c: c[3].update(model="x"), "stream: `model`"),
    "object of a body": (
        "chat",
        lambda c: [each.update(object="chat.completion") for each in c[:-1]],
        "object",
    ),
    "finish_reason null": (
        "chat",
        lambda c: c[-3]["choices"][0].update(finish_reason=None),
        "finish_reason",
    ),
    "finish_reason twice": (
        "chat",
        lambda c: c[-4]["choices"][0].update(finish_reason="stop"),
        "stream: nothing follows",
    ),
    "finish_reason missing": (
        "chat",
        lambda c: c[2]["choices"][0].pop("finish_reason"),
        "stream: each chunk has finish_reason",
    ),
    "a chunk lost": ("chat", lambda c: c.pop(2), "usage.completion_tokens"),
    "a chunk twice": ("chat", lambda c: c.insert(2, c[2]), "usage.completion_tokens"),
    "usage missing": ("chat", lambda c: c.pop(-2), "usage"),
    "usage not last": ("chat", lambda c: c.insert(1, c.pop(-2)), "stream: the usage chunk"),
    "choices without usage": (
        "chat",
        lambda c: c.insert(3, {**c[3], "choices": []}),
        "stream: a ch",
    ),
    "call without name": (
        "tools",
        lambda c: tool_delta(c, 0)["function"].pop("name"),
        "stream: a tool call's first",
    ),
    "call without id": (
        "tools",
        lambda c: tool_delta(c, 0).pop("id"),
        "stream: a tool call's first",
    ),
    "index of a call": (
        "tools",
        lambda c: tool_delta(c, 1).update(index=3),
        "stream: tool calls are numbered",
    ),
    "arguments repeated": ("tools", repeat_arguments, "tool call: arguments"),
    "call renamed": (
        "tools",
        lambda c: tool_delta(c, 1)["function"].update(name="f"),
        "stream: a tool call keeps",
    ),
    "responses: empty at the end": (
        "responses",
        lambda c: c[-1]["response"].update(output=[]),
        "output",
    ),
    "responses: a delta lost": ("responses", lambda c: c.pop(5), "stream: sequence_number"),
    "responses: a delta altered": ("responses", lambda c: c[5].update(delta="X"), "stream: the de"),
    "responses: type altered": (
        "responses",
        lambda c: c[5].update(type="x"),
        "stream: each event's",
    ),
    "responses: no end": ("responses", lambda c: c.pop(), "stream: last event"),
    "responses: no begin": ("responses", lambda c: c.pop(0), "stream: "),
    "responses: id": ("responses", lambda c: c[-1]["response"].update(id="x"), "stream: one id"),
}


@pytest.mark.parametrize("spoilt", STREAMS)
def test_a_spoilt_stream_fails(spoilt):
    name, spoil, expected = STREAMS[spoilt]
    names = failures(name, spoilt_stream(name, spoil), stream=True)
    assert any(each.startswith(expected) for each in names), names


LEGAL = {
    "further fields": lambda c: [each.update(x=1) for each in c if isinstance(each, dict)],
    "usage null": lambda c: [
        each.setdefault("usage", None) for each in c if isinstance(each, dict)
    ],
    "another id": lambda c: [each.update(id="req-1") for each in c if isinstance(each, dict)],
    "keys in another order": lambda c: c.__setitem__(
        slice(None), [dict(reversed(e.items())) if isinstance(e, dict) else e for e in c]
    ),
}


@pytest.mark.parametrize("legal", LEGAL)
def test_a_legal_variation_passes(legal):
    assert failures("chat", spoilt_stream("chat", LEGAL[legal]), stream=True) == []


def test_usage_that_was_not_asked_for_fails():
    reply = reply_of("chat", stream=True)
    names = failures("chat", reply, stream=True, stream_options=None)
    assert names == ["usage comes only when asked for"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"status": 500}, "status"),
        ({"status": None, "error": "ConnectError"}, "the reply is whole"),
        ({"pieces": ((0.1, b""),)}, "the reply has the API's shape"),
        ({"pieces": ((0.1, b"[]"),)}, "the body is an object"),
        ({"pieces": ((0.1, b'{"id": "x"'),)}, "the reply has the API's shape"),
        ({"headers": {"content-type": "text/plain"}}, "content-type"),
        ({"headers": {}}, "content-type"),
    ],
)
def test_a_reply_that_is_none_fails(changes, expected):
    reply = dataclasses.replace(reply_of("chat", stream=False), **changes)
    assert failures("chat", reply, stream=False) == [expected]
