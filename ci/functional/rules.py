"""Assert what holds for every generated answer, whatever was asked. Pure.

The rules are those of OpenAI's API reference, as vLLM 0.11 and later keep them. A legal variation
(further fields, another form of ids, another size of chunks) breaks none.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.functional.answer import Answer, Choice, TokenLogprob, ToolCall
    from ci.functional.proof import Proof

FINISH_REASONS = ("stop", "length", "tool_calls")
# Seconds: between 2020 and 2100. Milliseconds and text are outside.
CREATED_S = (1_577_836_800, 4_102_444_800)
# Marks of chat templates. A text with one was cut at the wrong place.
SPECIAL = re.compile(
    r"<\|(?:im_start|im_end|endoftext|begin_of_text|end_of_text|eot_id|eom_id|end)\|>|</?s>|<eos>"
    r"|<\uff5c[^\uff5c]*\uff5c>|<end_of_turn>"
)
TOLERANCE = 1e-3


def answer_rules(body: Mapping[str, Any], answer: Answer, proof: Proof, *, chat: bool) -> None:
    """Assert the rules of an answer.

    Args:
        body: the request.
        answer: the answer to it.
        proof: receives the assertions.
        chat: whether it is one of /v1/chat/completions.
    """
    stream = body.get("stream") is True
    kind = ("chat.completion" if chat else "text_completion") + (
        ".chunk" if chat and stream else ""
    )
    proof.that("id is some text", isinstance(answer.id, str) and answer.id, "text", answer.id)
    proof.equal("object", answer.object, kind)
    created = answer.created
    whole = is_time(created) and isinstance(created, int)
    proof.that("created is a time in seconds", whole, "whole seconds", created)
    proof.equal("model", answer.model, body.get("model"))
    expected = list(range(_count_of_choices(body)))
    # A body lists its choices in order; those of a stream come as they are made.
    indexes = sorted(answer.choices) if stream else list(answer.choices)
    proof.equal("indexes of the choices", indexes, expected)
    for choice in answer.choices.values():
        _choice(body, choice, proof, chat=chat)
    _usage(body, answer, proof)


def is_time(value: object) -> bool:
    """Whether a value is a plausible time in whole seconds since 1970, and no text."""
    # Some servers send a float without a fraction.
    whole = isinstance(value, (int, float)) and not isinstance(value, bool)
    return whole and CREATED_S[0] < value < CREATED_S[1]  # type: ignore[operator]


def _count_of_choices(body: Mapping[str, Any]) -> int:
    prompt = body.get("prompt")
    several = isinstance(prompt, list) and prompt and not isinstance(prompt[0], int)
    count: int = (body.get("n") or 1) * (len(prompt) if several else 1)  # type: ignore[arg-type, operator]
    return count


def _choice(body: Mapping[str, Any], choice: Choice, proof: Proof, *, chat: bool) -> None:
    proof.one_of("finish_reason", choice.finish_reason, FINISH_REASONS, FINISH_REASONS)
    text = choice.text or ""
    if chat:
        # Without a generation prompt, vLLM answers in the role of the last message.
        if body.get("add_generation_prompt", True) or body.get("continue_final_message"):
            proof.equal("role", choice.role, "assistant")
        _tools(body, choice, proof)
    if not body.get("echo") and body.get("skip_special_tokens", True):
        leaked = SPECIAL.findall(text)
        proof.that("no special token in the text", not leaked, "none", leaked)
    _logprobs(body, choice, proof, chat=chat)


def _usage(body: Mapping[str, Any], answer: Answer, proof: Proof) -> None:
    usage: Any = answer.usage
    options = body.get("stream_options") or {}
    if body.get("stream") is True and not options.get("include_usage"):
        proof.that("usage comes only when asked for", usage is None, None, usage)
        return
    if not proof.that("usage", isinstance(usage, dict), "an object", usage):
        return
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    for name, count in (("prompt_tokens", prompt), ("completion_tokens", completion)):
        natural = isinstance(count, int) and not isinstance(count, bool) and count > 0
        if not proof.that(f"usage.{name}", natural, "a number over 0", count):
            return
    proof.equal("usage.total_tokens", usage.get("total_tokens"), prompt + completion)
    details = usage.get("prompt_tokens_details") or {}
    cached = details.get("cached_tokens") or 0
    proof.that("usage: cached tokens", 0 <= cached <= prompt, f"0 to {prompt}", cached)
    choices = answer.choices.values()
    ids = [choice.token_ids for choice in choices]
    if all(each is not None for each in ids):
        proof.equal("usage.completion_tokens", completion, sum(len(each or ()) for each in ids))
    if answer.prompt_token_ids is not None and not isinstance(body.get("prompt"), list):
        proof.equal("usage.prompt_tokens", prompt, len(answer.prompt_token_ids))
    _length(body, answer, completion, proof)


def _length(body: Mapping[str, Any], answer: Answer, completion: int, proof: Proof) -> None:
    """Assert that `length` is said exactly where the limit was reached."""
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if not limit:
        return
    for choice in answer.choices.values():
        alone = len(answer.choices) == 1
        count = completion if alone else len(choice.token_ids or ())
        if not count:
            continue
        proof.that("no more than max_tokens", count <= limit, f"at most {limit}", count)
        if choice.finish_reason == "length":
            proof.equal("`length` is said at max_tokens", count, limit)


def _tools(body: Mapping[str, Any], choice: Choice, proof: Proof) -> None:
    """Assert the shape of tool calls, and that there are some if and only if they are asked for."""
    tools = body.get("tools") or []
    wanted = body.get("tool_choice", "auto" if tools else "none")
    named = wanted["function"]["name"] if isinstance(wanted, dict) else None
    calls = choice.tool_calls
    cut = choice.finish_reason == "length"
    if wanted == "none" or not tools:
        proof.that("no tool call", not calls, "none", calls)
    elif (wanted == "required" or named) and not cut:
        proof.that("a tool call", calls, "at least one", calls)
    if choice.finish_reason == "tool_calls":
        proof.that("finish_reason tool_calls comes with a call", calls, "a call", calls)
    if not calls:
        return
    allowed = ("length",) if cut else ("tool_calls", "stop") if named else ("tool_calls",)
    proof.one_of("finish_reason of a tool call", choice.finish_reason, allowed, allowed)
    names = [named] if named else [tool["function"]["name"] for tool in tools]
    for call in calls:
        _tool_call(call, names, proof, cut=cut and call is calls[-1])
    text = choice.text or ""
    proof.that(
        "the text has no markup of the calls", cut or "<tool_call>" not in text, "none", text
    )
    ids = [call.id for call in calls]
    proof.equal("each tool call has an id of its own", len(set(ids)), len(ids))


def _tool_call(call: ToolCall, names: list[str], proof: Proof, *, cut: bool) -> None:
    proof.that("tool call: id", isinstance(call.id, str) and call.id, "text", call.id)
    proof.equal("tool call: type", call.type, "function")
    proof.one_of("tool call: name", call.name, names, names)
    arguments = call.arguments
    if not proof.that("tool call: arguments", isinstance(arguments, str), "text", arguments):
        return
    if not cut:
        parsed = parse_json(str(arguments))
        proof.that("tool call: arguments are JSON", isinstance(parsed, dict), "{…}", arguments)


def parse_json(text: str) -> Any:  # noqa: ANN401 - whatever it holds
    """Return the value of a JSON text; `ValueError` itself if it is none."""
    try:
        return read_json(text)
    except ValueError as error:
        return error


def _logprobs(body: Mapping[str, Any], choice: Choice, proof: Proof, *, chat: bool) -> None:
    asked = body.get("logprobs")
    wanted = asked is True if chat else asked is not None and asked is not False
    tokens = choice.logprobs
    if not wanted:
        proof.that("logprobs come only when asked for", tokens is None, None, tokens)
        return
    if not proof.that("logprobs", tokens, "one entry per token", tokens):
        return
    assert tokens is not None  # noqa: S101 - for the type checker
    alternatives = (body.get("top_logprobs") or 0) if chat else int(asked or 0)
    if choice.token_ids is not None and not body.get("echo"):
        proof.equal("logprobs: one entry per token", len(tokens), len(choice.token_ids))
    # In the form of completions, two alternatives that have the same text share an entry.
    short = [token.top for token in tokens if len(token.top) < alternatives]
    allowed = 0 if chat else len(tokens) // 2
    proof.that("logprobs: alternatives", len(short) <= allowed, alternatives, short[:2])
    for index, token in enumerate(tokens):
        first_of_prompt = index == 0 and body.get("echo") and token.logprob is None
        if not first_of_prompt:
            _token(token, alternatives, proof)
    if alternatives and _is_greedy(body):
        missed = [each for each in tokens if _logprob_of_best(each) > _own(each) + TOLERANCE]
        if not body.get("echo"):
            proof.that("logprobs: the most likely token was taken", not missed, "it", missed[:2])
    if not choice.tool_calls:
        _text_of_tokens(body, choice, proof)


# Parameters that change which token is taken, but not the log probabilities.
STEERING = frozenset(
    {
        *("structured_outputs", "response_format", "tools", "logit_bias", "bad_words"),
        *("allowed_token_ids", "min_tokens", "presence_penalty", "frequency_penalty"),
        *("repetition_penalty",),
    }
)


def _is_greedy(body: Mapping[str, Any]) -> bool:
    """Whether a request takes the most likely token each time."""
    return body.get("temperature") == 0 and not any(body.get(key) for key in STEERING)


def _own(token: TokenLogprob) -> float:
    return token.logprob if token.logprob is not None else 0.0


def _logprob_of_best(token: TokenLogprob) -> float:
    return max((logprob for _, logprob in token.top), default=_own(token))


def _token(token: TokenLogprob, alternatives: int, proof: Proof) -> None:
    value = token.logprob
    finite = isinstance(value, (int, float)) and math.isfinite(value) and value <= TOLERANCE
    proof.that("logprobs: at most 0", finite, "a number, at most 0", value)
    if token.bytes is not None and token.bytes:
        same = bytes(token.bytes).decode("utf-8", "replace") == token.token
        proof.that("logprobs: bytes are the token's", same, token.token, token.bytes)
    if alternatives:
        # The sampled token is listed too where it is not among the most likely ones.
        fits = 0 < len(token.top) <= alternatives + 1
        proof.that("logprobs: number of alternatives", fits, alternatives, len(token.top))
        mass = sum(math.exp(min(logprob, 1.0)) for _, logprob in token.top)
        proof.that("logprobs: probabilities sum to at most 1", mass <= 1.01, "at most 1", mass)  # noqa: PLR2004
        own = [logprob for text, logprob in token.top if text == token.token]
        near = any(abs(logprob - _own(token)) <= TOLERANCE for logprob in own)
        proof.that("logprobs: the token is among its alternatives", near, value, token.top)
        # The sampled token comes first; behind it, the most likely come before the others.
        rest = [logprob for _, logprob in token.top[1:]]
        proof.that(
            "logprobs: alternatives in order",
            rest == sorted(rest, reverse=True),
            "falling",
            token.top,
        )


def _text_of_tokens(body: Mapping[str, Any], choice: Choice, proof: Proof) -> None:
    """Assert that the tokens spell the text, and that each offset points at its token."""
    text, tokens = choice.text or "", choice.logprobs or []
    spelt = "".join(token.token for token in tokens)
    ends = SPECIAL.sub("", spelt) if body.get("skip_special_tokens", True) else spelt
    # A stop string is cut off the text, and the end token is not in it.
    stopped = choice.stop_reason is not None and ends.startswith(text)
    last = tokens[-1].token if tokens and choice.finish_reason == "stop" else ""
    same = ends == text or stopped or ends == text + last
    proof.that("logprobs: the tokens spell the text", same, text, ends)
    if choice.offsets is None:
        return
    expected, at = [], choice.offsets[0] if choice.offsets else 0
    for token in tokens:
        expected.append(at)
        at += len(token.token)
    proof.equal("logprobs: text_offset", choice.offsets, expected)
