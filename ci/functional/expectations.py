"""Assert what one case expects of its answer. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ci.functional.rules import parse_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.answer import Answer
    from ci.functional.proof import Proof
    from ci.functional.suite import Expect, Range


def check_expectations(
    expect: Expect, body: Mapping[str, Any], answer: Answer, proof: Proof
) -> None:
    """Assert all expectations about a single answer.

    Args:
        expect: the case's expectations.
        body: the request.
        answer: the answer.
        proof: receives the assertions.
    """
    _texts(expect, body, answer, proof)
    choices = answer.choices.values()
    for choice in choices:
        if expect.finish_reason is not None:
            allowed = expect.finish_reason
            proof.one_of("expected finish_reason", choice.finish_reason, allowed, allowed)
        if expect.stop_reason is not None:
            proof.equal("expected stop_reason", choice.stop_reason, expect.stop_reason)
    if expect.tool_calls is not None:
        _tool_calls(expect, answer, proof)
    usage = answer.usage or {}
    details = usage.get("prompt_tokens_details") or {}
    for name, bounds, count in (
        ("completion_tokens", expect.completion_tokens, usage.get("completion_tokens")),
        ("prompt_tokens", expect.prompt_tokens, usage.get("prompt_tokens")),
        ("cached_tokens", expect.cached_tokens, details.get("cached_tokens")),
    ):
        if bounds is not None and answer.usage is not None:
            in_range(f"expected {name}", bounds, count, proof)
    if expect.choices_differ:
        texts = [choice.text for choice in choices]
        proof.equal("choices differ", len(set(texts)), len(texts))


def in_range(name: str, bounds: Range, value: object, proof: Proof) -> None:
    """Assert that a number is within its bounds."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    low = bounds.min is None or (number and value >= bounds.min)  # type: ignore[operator]
    high = bounds.max is None or (number and value <= bounds.max)  # type: ignore[operator]
    shown = bounds.min if bounds.min == bounds.max else {"min": bounds.min, "max": bounds.max}
    proof.that(name, number and low and high, shown, value)


def _texts(expect: Expect, body: Mapping[str, Any], answer: Answer, proof: Proof) -> None:
    text = answer.first.text or ""
    if expect.text is not None:
        texts = [answer.choices[index].text or "" for index in sorted(answer.choices)]
        # One text for several choices: each has it.
        expected = expect.text * len(texts) if len(expect.text) == 1 else expect.text
        proof.equal("text", texts[0] if len(texts) == 1 else texts, one(expected))
    elif not _may_be_empty(expect, body, answer):
        proof.that("the text is not empty", text, "some text", text)
    if expect.text_starts is not None:
        proof.that("text starts", text.startswith(expect.text_starts), expect.text_starts, text)
    for words in expect.text_contains or ():
        proof.that("text contains", words in text, words, text)
    for words in expect.text_lacks or ():
        proof.that("text lacks", words not in text, f"without {words!r}", text)
    if expect.text_matches is not None:
        matches = re.fullmatch(expect.text_matches, text, re.DOTALL)
        proof.that("text matches", matches, expect.text_matches, text)
    if expect.parsed is not None or expect.satisfies is not None:
        _json(expect, body, text, proof)


def one(texts: list[str]) -> str | list[str]:
    """Return the only text of a list, or the list."""
    return texts[0] if len(texts) == 1 else texts


def _may_be_empty(expect: Expect, body: Mapping[str, Any], answer: Answer) -> bool:
    """Whether a healthy answer may have no text."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    stopped = body.get("stop") or body.get("stop_token_ids") or limit == 1
    calls = answer.first.tool_calls or expect.tool_calls is not None
    cut_call = body.get("tools") and answer.first.finish_reason == "length"
    # A pattern says itself whether it matches an empty text.
    return bool(stopped or calls or cut_call or expect.text_matches is not None)


def _json(expect: Expect, body: Mapping[str, Any], text: str, proof: Proof) -> None:
    value = parse_json(text)
    if not proof.that("the text is JSON", not isinstance(value, ValueError), "JSON", text):
        return
    if expect.parsed is not None:
        proof.equal("the text, as JSON", value, expect.parsed)
    if expect.satisfies == "object":
        proof.that("the text is an object", isinstance(value, dict), "{…}", text)
    elif expect.satisfies is not None:
        schema = schema_of(body) if expect.satisfies == "request" else expect.satisfies
        from jsonschema import Draft202012Validator  # noqa: PLC0415 - takes 0.1 s

        wrong = next(iter(Draft202012Validator(schema).iter_errors(value)), None)
        proof.that("the text satisfies the schema", wrong is None, schema, wrong and wrong.message)


def schema_of(body: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a JSON Schema
    """Return the JSON Schema of a request; an empty one if it has none."""
    form = body.get("response_format") or {}
    inner = (form.get("json_schema") or {}).get("schema")
    return inner or (body.get("structured_outputs") or {}).get("json") or {}


def _tool_calls(expect: Expect, answer: Answer, proof: Proof) -> None:
    expected = [
        {"name": call.name, "arguments": call.arguments} for call in expect.tool_calls or ()
    ]
    for choice in answer.choices.values():
        got = []
        for index, call in enumerate(choice.tool_calls):
            arguments: Any = parse_json(str(call.arguments))
            if index < len(expected) and expected[index]["arguments"] is None:
                arguments = None
            got.append({"name": call.name, "arguments": arguments})
        proof.equal("tool calls", got, expected)
