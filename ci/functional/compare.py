"""Compare two answers to the same request: a stream and a body, a router and a server. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ci.functional.rules import parse_json

if TYPE_CHECKING:
    from ci.functional.answer import Answer, Choice
    from ci.functional.proof import Proof

# Batches of another size round otherwise: a log probability differs by some hundredths in bfloat16.
LOGPROB_TOLERANCE = 0.3


def same_answer(first: Answer, second: Answer, proof: Proof, *, other_server: bool = False) -> None:
    """Assert that two answers agree in all but their ids and times.

    Args:
        first: the answer that came as a body, or directly from a server.
        second: the answer that came as a stream, or through a router.
        proof: receives the assertions.
        other_server: whether two servers made them. Then the same text may consist of other tokens:
            a grammar allows several ways to spell it, and rounding decides between them.
    """
    spelling = not other_server or _tokens(first) == _tokens(second)
    proof.equal("choices", sorted(second.choices), sorted(first.choices))
    for index, choice in first.choices.items():
        if other := second.choices.get(index):
            _same_choice(choice, other, proof, spelling=spelling)
    if first.usage is not None and second.usage is not None:
        counted = ("completion_tokens", "total_tokens") if spelling else ()
        for key in ("prompt_tokens", *counted):
            proof.equal(f"usage.{key}", second.usage.get(key), first.usage.get(key))
    if first.prompt_token_ids is not None and second.prompt_token_ids is not None:
        proof.equal("prompt_token_ids", second.prompt_token_ids, first.prompt_token_ids)
    proof.equal("model", second.model, first.model)


def _tokens(answer: Answer) -> dict[int, object]:
    return {index: choice.token_ids for index, choice in answer.choices.items()}


def _same_choice(first: Choice, second: Choice, proof: Proof, *, spelling: bool) -> None:
    text, other = first.text or "", second.text or ""
    if not proof.equal("text", other, text):
        proof.that("text", False, f"the same as: {text!r}", difference(text, other))  # noqa: FBT003
    proof.equal("finish_reason", second.finish_reason, first.finish_reason)
    proof.equal("stop_reason", second.stop_reason, first.stop_reason)
    proof.equal("tool calls", _calls(second), _calls(first))
    if not spelling:
        return
    if first.token_ids is not None and second.token_ids is not None:
        proof.equal("token_ids", second.token_ids, first.token_ids)
    _same_logprobs(first, second, proof)


def _calls(choice: Choice) -> list[tuple[object, Any]]:
    """Return name and arguments of every call; arguments as values, since spaces are free."""
    calls = []
    for call in choice.tool_calls:
        arguments = parse_json(str(call.arguments))
        whole = not isinstance(arguments, ValueError)
        calls.append((call.name, arguments if whole else str(call.arguments)))
    return calls


def _same_logprobs(first: Choice, second: Choice, proof: Proof) -> None:
    if first.logprobs is None or second.logprobs is None:
        there = (first.logprobs is None, second.logprobs is None)
        proof.that("logprobs", len(set(there)) == 1, "both or none", there)
        return
    tokens = [token.token for token in first.logprobs]
    if not proof.equal("logprobs: tokens", [token.token for token in second.logprobs], tokens):
        return
    for one, other in zip(first.logprobs, second.logprobs, strict=True):
        if one.logprob is None or other.logprob is None:
            proof.equal("logprobs: value", other.logprob, one.logprob)
        else:
            near = abs(one.logprob - other.logprob) <= LOGPROB_TOLERANCE
            proof.that("logprobs: value", near, one.logprob, other.logprob)
    proof.equal("logprobs: text_offset", second.offsets, first.offsets)


def difference(first: str, second: str) -> str:
    """Describe the first place where two texts differ."""
    place = next(
        (index for index, (a, b) in enumerate(zip(first, second, strict=False)) if a != b),
        min(len(first), len(second)),
    )
    begin = max(0, place - 20)
    return (
        f"from character {place}: {json.dumps(second[begin : place + 20], ensure_ascii=False)} "
        f"instead of {json.dumps(first[begin : place + 20], ensure_ascii=False)}"
    )
