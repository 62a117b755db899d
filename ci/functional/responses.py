"""Read and assert answers of /v1/responses, as a body or as a stream of typed events. Pure.

The order of the events is that of OpenAI's API reference, "Streaming events" of the Responses API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.functional.answer import Answer, Choice, ToolCall
from ci.functional.rules import is_time

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ci.functional.proof import Proof
    from ci.functional.sse import Event

LAST = ("response.completed", "response.incomplete", "response.failed")
STATUSES = ("completed", "incomplete")


def read_response(body: Mapping[str, Any], response: Any, proof: Proof) -> Answer:  # noqa: ANN401
    """Return the answer of a response object, and assert its rules.

    Raises:
        TypeError, KeyError, AttributeError: it has another shape.
    """
    answer = Answer(
        response.get("id"), response.get("object"), response.get("created_at"), response["model"]
    )
    proof.that("id is some text", isinstance(answer.id, str) and answer.id, "text", answer.id)
    proof.equal("object", answer.object, "response")
    created = answer.created
    proof.that("created_at is a time in seconds", is_time(created), "seconds", created)
    proof.equal("model", answer.model, body.get("model"))
    status = response.get("status")
    proof.one_of("status of the response", status, STATUSES, STATUSES)
    proof.that("no error in the response", not response.get("error"), None, response.get("error"))
    choice = Choice(0)
    reason = (response.get("incomplete_details") or {}).get("reason")
    cut = status == "incomplete"
    proof.equal("incomplete_details say why it was cut", reason == "max_output_tokens", cut)
    choice.finish_reason = "length" if cut else "stop"
    proof.that(
        "output",
        isinstance(response["output"], list) and response["output"],
        "items",
        response["output"],
    )
    for item in response["output"]:
        _item(item, choice, proof)
    answer.choices[0] = choice
    _usage(body, response.get("usage"), answer, proof)
    return answer


def _item(item: Mapping[str, Any], choice: Choice, proof: Proof) -> None:
    proof.that("output: id", isinstance(item.get("id"), str) and item["id"], "text", item)
    if item["type"] == "message":
        proof.equal("output: role", item.get("role"), "assistant")
        for part in item["content"]:
            proof.equal("output: type of the part", part.get("type"), "output_text")
            proof.that("output: text", isinstance(part.get("text"), str), "text", part)
            choice.text = (choice.text or "") + part["text"]
    elif item["type"] == "function_call":
        choice.tool_calls.append(
            ToolCall(item.get("call_id"), "function", item.get("name"), item.get("arguments"))
        )
        proof.that("output: call_id", item.get("call_id"), "text", item)


def _usage(body: Mapping[str, Any], usage: Any, answer: Answer, proof: Proof) -> None:  # noqa: ANN401
    if not proof.that("usage", isinstance(usage, dict), "an object", usage):
        return
    counts = [usage.get(f"{name}_tokens") for name in ("input", "output", "total")]
    natural = all(isinstance(count, int) and count > 0 for count in counts)
    if not proof.that("usage: numbers over 0", natural, "numbers over 0", counts):
        return
    proof.equal("usage.total_tokens", counts[2], counts[0] + counts[1])
    limit = body.get("max_output_tokens")
    if limit and answer.first.finish_reason == "length":
        proof.equal("the answer is cut at max_output_tokens", counts[1], limit)
    elif limit:
        proof.that("no more than max_output_tokens", counts[1] <= limit, limit, counts[1])
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    answer.usage = dict(zip(names, counts, strict=True))


def read_response_stream(
    body: Mapping[str, Any], events: Sequence[Event], proof: Proof
) -> Answer | None:
    """Return the answer of a stream of events, and assert their order.

    Raises:
        TypeError, KeyError, AttributeError, ValueError: an event has another shape.
    """
    # vLLM ends the stream without `[DONE]`, as OpenAI does; a server that sends it is right too.
    items = [event.parsed() for event in events if not event.is_done]
    marks = [index for index, event in enumerate(events) if event.is_done]
    proof.that("stream: [DONE] is the last", marks in ([], [len(events) - 1]), "last", marks)
    kinds = [item["type"] for item in items]
    names = [event.name for event in events if not event.is_done]
    wrong = [
        (name, kind) for name, kind in zip(names, kinds, strict=True) if name not in ("", kind)
    ]
    proof.that("stream: each event's name is its type", not wrong, "the same", wrong)
    numbers = [item.get("sequence_number") for item in items]
    proof.equal("stream: sequence_number", numbers, list(range(len(items))))
    if not proof.equal("stream: first event", kinds[:1], ["response.created"]):
        return None
    proof.one_of("stream: last event", kinds[-1], LAST, LAST)
    proof.equal("stream: number of last events", sum(kind in LAST for kind in kinds), 1)
    ids = {item["response"]["id"] for item in items if "response" in item}
    proof.that("stream: one id", len(ids) == 1, "one", sorted(ids))
    first = items[0]["response"]
    proof.equal("stream: the response begins in progress", first.get("status"), "in_progress")
    if kinds[-1] not in LAST:
        return None
    answer = read_response(body, items[-1]["response"], proof)
    _item_ids(items, proof)
    whole = answer.first.text or ""
    _deltas(items, whole, "output_text", proof)
    arguments = "".join(str(call.arguments) for call in answer.first.tool_calls)
    if arguments:
        _deltas(items, arguments, "function_call_arguments", proof)
    for begin, end in (
        ("response.output_item.added", "response.output_item.done"),
        ("response.content_part.added", "response.content_part.done"),
    ):
        proof.equal(f"stream: {end} for each {begin}", kinds.count(end), kinds.count(begin))
    done = [item["item"] for item in items if item["type"] == "response.output_item.done"]
    final = items[-1]["response"]["output"]
    proof.equal("stream: the items that were done are the output", _ids(done), _ids(final))
    return answer


def _item_ids(items: Sequence[Mapping[str, Any]], proof: Proof) -> None:
    """Assert that every event about an item names one that was added."""
    added = {item["item"]["id"] for item in items if item["type"] == "response.output_item.added"}
    named = {item["item_id"] for item in items if "item_id" in item}
    proof.that("stream: events name added items", named <= added, sorted(added), sorted(named))


def _ids(items: Sequence[Mapping[str, Any]]) -> list[object]:
    return [(item.get("type"), _text(item)) for item in items]


def _text(item: Mapping[str, Any]) -> object:
    parts = item.get("content") or ()
    return "".join(part.get("text") or "" for part in parts) or item.get("arguments")


def _deltas(items: Sequence[Mapping[str, Any]], whole: str, kind: str, proof: Proof) -> None:
    """Assert that the deltas of a kind, and the text that ends them, are the whole."""
    deltas = [item["delta"] for item in items if item["type"] == f"response.{kind}.delta"]
    key = "text" if kind == "output_text" else "arguments"
    ends = [item[key] for item in items if item["type"] == f"response.{kind}.done"]
    if whole or deltas or ends:
        proof.equal(f"stream: the deltas of {kind} are the whole", "".join(deltas), whole)
        proof.equal(f"stream: the end of {kind} is the whole", "".join(ends), whole)
