"""Put an answer together from the chunks of a stream, and assert the rules of the protocol. Pure.

The rules are those of OpenAI's API reference ("The chat completion chunk object", "Streaming"), as
vLLM keeps them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer, Choice, ToolCall, add_logprobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.functional.proof import Proof
    from ci.functional.sse import Event


def read_stream(events: Sequence[Event], proof: Proof, *, chat: bool) -> Answer:
    """Return the answer of a stream.

    Args:
        events: all events, the mark `[DONE]` included.
        proof: receives an assertion for each rule of a stream.
        chat: whether the chunks are those of a chat.

    Raises:
        TypeError, KeyError, AttributeError, ValueError: a chunk has another shape.
    """
    done = [index for index, event in enumerate(events) if event.is_done]
    proof.equal("stream: number of [DONE]", len(done), 1)
    if done:
        after = [event.data for event in events[done[0] + 1 :]]
        proof.that("stream: nothing after [DONE]", not after, "no event", after)
    answer = Answer()
    chunks = []
    for event in events:
        if event.is_done:
            continue
        try:
            chunk = event.parsed()
        except ValueError:
            proof.that("stream: each event is one JSON object", False, "JSON", event.data)  # noqa: FBT003
            return answer
        if not proof.that(
            "stream: each event is a chunk",
            isinstance(chunk, dict) and "choices" in chunk,
            "an object with `choices`",
            chunk,
        ):
            return answer
        chunks.append(chunk)
    _envelope(answer, chunks, proof)
    _usage(answer, chunks, proof)
    _usage_so_far(chunks, proof)
    for chunk in chunks:
        if answer.prompt_token_ids is None:
            answer.prompt_token_ids = chunk.get("prompt_token_ids")
        for item in chunk["choices"]:
            _add(answer, item, proof, chat=chat)
    return answer


def _envelope(answer: Answer, chunks: list[dict[str, Any]], proof: Proof) -> None:
    """Assert what every chunk has in common."""
    for key in ("id", "object", "created", "model"):
        values = [chunk.get(key) for chunk in chunks]
        first = values[0] if values else None
        setattr(answer, key, first)
        others = [value for value in values if value != first or type(value) is not type(first)]
        proof.that(f"stream: `{key}` is the same in all chunks", not others, first, others[:3])


def _usage(answer: Answer, chunks: list[dict[str, Any]], proof: Proof) -> None:
    """Take the usage of the last chunk that has one; a chunk without choices has to have it."""
    for index, chunk in enumerate(chunks):
        if chunk.get("usage") is not None:
            answer.usage = chunk["usage"]
        elif not chunk["choices"]:
            proof.that("stream: a chunk without choices has a usage", False, "usage", chunk)  # noqa: FBT003
        if not chunk["choices"]:
            last = index == len(chunks) - 1
            proof.that("stream: the usage chunk is the last", last, "the last chunk", index)


def _usage_so_far(chunks: list[dict[str, Any]], proof: Proof) -> None:
    """Assert that the usage of each chunk, where it is there, is a sum that only grows."""
    usages = [chunk["usage"] for chunk in chunks if chunk.get("usage") is not None]
    if len(usages) < 2:  # noqa: PLR2004 - the usage chunk alone
        return
    counts = [usage["completion_tokens"] for usage in usages]
    proof.that("stream: usage only grows", counts == sorted(counts), "growing", counts)
    sums = [
        usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        for usage in usages
    ]
    proof.that("stream: each usage is a sum", all(sums), "sums", usages[:3])


def _add(answer: Answer, item: dict[str, Any], proof: Proof, *, chat: bool) -> None:
    """Add one choice of a chunk to the answer."""
    index = item["index"]
    choice = answer.choices.setdefault(index, Choice(index))
    proof.that("stream: each chunk has finish_reason", "finish_reason" in item, "the key", item)
    delta = item["delta"] if chat else item
    text = delta.get("content") if chat else delta["text"]
    calls = delta.get("tool_calls") or ()
    if choice.finish_reason is not None:
        late = text or calls or item.get("finish_reason") is not None
        proof.that("stream: nothing follows the finish_reason", not late, "no text", item)
    if chat and delta.get("role") is not None:
        first = choice.role is None and choice.text is None and not choice.tool_calls
        proof.that("stream: the role comes once, first", first, "the first delta alone", item)
        choice.role = delta["role"]
    if chat and choice.role is None:
        proof.that("stream: the role comes once, first", False, "role in the first delta", item)  # noqa: FBT003
        choice.role = "missing"
    if text is not None:
        proof.that("stream: text is a string", isinstance(text, str), "text", text)
        choice.text = (choice.text or "") + text
    for call in calls:
        _add_call(choice, call, proof)
    add_logprobs(choice, item.get("logprobs"))
    if item.get("token_ids") is not None:
        choice.token_ids = (choice.token_ids or []) + item["token_ids"]
    if item.get("finish_reason") is not None:
        choice.finish_reason = item["finish_reason"]
        choice.stop_reason = item.get("stop_reason")


def _add_call(choice: Choice, delta: dict[str, Any], proof: Proof) -> None:
    """Add a delta of a tool call: the first of an index names it, the others append arguments."""
    index: Any = delta.get("index")
    function = delta.get("function") or {}
    calls = choice.tool_calls
    known = isinstance(index, int) and 0 <= index <= len(calls)
    if not proof.that("stream: tool calls are numbered in order", known, len(calls), index):
        return
    if index == len(calls):
        calls.append(ToolCall(delta.get("id"), delta.get("type"), function.get("name"), ""))
        named = bool(delta.get("id") and function.get("name"))
        proof.that("stream: a tool call's first delta has id and name", named, "both", delta)
    else:
        again = [
            value
            for value, was in (
                (delta.get("id"), calls[index].id),
                (function.get("name"), calls[index].name),
            )
            if value and value != was
        ]
        proof.that("stream: a tool call keeps its id and name", not again, "none other", again)
        repeated = function.get("name") or ""
        proof.that("stream: a tool call is named once", not repeated, "no name", repeated)
    arguments = function.get("arguments")
    if arguments is not None:
        proof.that("stream: arguments are text", isinstance(arguments, str), "text", arguments)
        calls[index].arguments += arguments
